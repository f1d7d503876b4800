-- Trailing counts as running sums of the steps that they take (int_usage__month_rollup), which are summed over
-- accounts in the same slices before anything else.
{%- set distribution = range(1, 8) %}
{%- set running = ["wau", "mau", "weekly_active_accounts", "monthly_active_accounts", "accounts_with_events", "last_day_numbers"] %}
{%- set stepping = ["dau", "daily_active_accounts"] + running[:4] %}
with steps as (
    select
        coalesce(alike_account_id, account_id) as account_id,
        step_date,
        {%- for name in stepping %}
        sum({{ name }}) as {{ name }},
        {%- endfor %}
        sum(days_idle) as last_day_numbers,
        {%- for days in distribution %}
        sum(active_days_{{ days }}) as active_days_{{ days }},
        {%- endfor %}
    from {{ ref('int_usage__month_rollup') }}
    left join {{ ref('int_accounts__alike') }} using (account_id)
    where grain = 'account_step'
    group by all
    -- Idle time of accounts: it grows by a day each day, and an event sets it back to none.
    union all by name
    select
        coalesce(alike_account_id, account_id) as account_id,
        first_event_date as step_date,
        count(*) filter (previous_date is null) as accounts_with_events,
        sum(first_event_date - coalesce(previous_date, date '1970-01-01')) as last_day_numbers,
    from (
        select
            account_id,
            first_event_date,
            lag(last_event_date) over (partition by account_id order by period_start) as previous_date,
        from {{ ref('int_usage__month_rollup') }}
        where grain = 'account' and first_event_date is not null
    )
    left join {{ ref('int_accounts__alike') }} using (account_id)
    group by all
),

account_steps as (
    select account_id, step_date, sum(columns(* exclude (account_id, step_date))),
    from steps
    group by all
),

sliced as (
    select slice_dimension, slice_value, step_date as period_start, sum(columns(* exclude (account_id, slice_dimension, slice_value, step_date))),
    from ({{ by_slice('account_steps') }})
    group by all
),

grid as (
    select slice_dimension, slice_value, cast(unnest(range(first_day, {{ as_of_date() }} + 1, interval 1 day)) as date) as period_start,
    from (
        select slice_dimension, slice_value from {{ ref('int_accounts__slices') }}
        union
        select slice_dimension, slice_value from sliced
    )
    cross join (select min(period_start) as first_day from sliced)
),

filled as (
    select
        slice_dimension,
        slice_value,
        grid.period_start,
        coalesce(dau, 0)::bigint as dau,
        coalesce(daily_active_accounts, 0)::bigint as daily_active_accounts,
        {%- for name in running %}
        coalesce(sum({{ name }}) over so_far, 0)::bigint as {{ name }},
        {%- endfor %}
        [
            {%- for days in distribution %}
            coalesce(sum(active_days_{{ days }}) over so_far, 0)::bigint,
            {%- endfor %}
        ] as active_day_distribution,
    from grid
    left join sliced using (slice_dimension, slice_value, period_start)
    window so_far as (partition by slice_dimension, slice_value order by grid.period_start)
)

select
    slice_dimension,
    slice_value,
    dau,
    wau,
    mau,
    sum(dau) over (
        partition by slice_dimension, slice_value order by period_start rows between 29 preceding and current row
    )::bigint as active_user_days_30d,
    active_day_distribution,
    daily_active_accounts,
    weekly_active_accounts,
    monthly_active_accounts,
    accounts_with_events,
    accounts_with_events * (period_start - date '1970-01-01') - last_day_numbers as idle_days,
    true as is_complete_period,
    period_start,
    period_start + 1 as period_end,
from filled
