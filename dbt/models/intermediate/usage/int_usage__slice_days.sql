-- Trailing counts in time linear in active days: who is active on a day is counted from it on for as many
-- days as the window has, so a count steps up on a day that finds somebody uncounted, and down where no
-- further day renews the count. Steps are summed over accounts in the same slices before anything else.
{%- set windows = {
    7: {"user": "wau", "account": "weekly_active_accounts"},
    30: {"user": "mau", "account": "monthly_active_accounts"},
} %}
{%- set distribution = range(1, 8) %}
{%- set running = ["wau", "mau", "weekly_active_accounts", "monthly_active_accounts", "accounts_with_events", "last_day_numbers"] %}
with members as (
    select 'user' as subject, account_id, user_id as member_id, occurred_date,
    from {{ ref('int_usage__user_days') }}
    where active_events > 0 and user_id is not null
    union all
    select 'account', account_id, null, occurred_date,
    from {{ ref('int_usage__account_days') }}
    where active_events > 0
),

-- Of the seven days that end with the day, and of those around it, how many a member was active on.
active_days as (
    select
        subject,
        coalesce(alike_account_id, account_id) as account_id,
        occurred_date,
        occurred_date - date '1970-01-01' as day_number,
        day_number - lag(day_number) over by_member as days_since_previous,
        lead(day_number) over by_member - day_number as days_to_next,
        count(*) over (by_member range between 6 preceding and current row) as days_now,
        count(*) over (by_member range between 7 preceding and 1 preceding) as days_before,
        count(*) over (by_member range between current row and 6 following) as days_to_come,
        count(*) over (by_member range between 7 following and 7 following) as days_renewed,
    from members
    left join {{ ref('int_accounts__alike') }} using (account_id)
    window by_member as (partition by subject, members.account_id, member_id order by day_number)
),

-- A member that is counted steps out of a window as many days later as it has, if nothing renews the count.
steps as (
    select
        account_id,
        occurred_date as step_date,
        count(*) filter (subject = 'user') as dau,
        count(*) filter (subject = 'account') as daily_active_accounts,
        {%- for days, names in windows.items() %}
        {%- for subject, name in names.items() %}
        count(*) filter (subject = '{{ subject }}' and coalesce(days_since_previous >= {{ days }}, true))
            as {{ name }},
        {%- endfor %}
        {%- endfor %}
        {%- for days in distribution %}
        count(*) filter (subject = 'user' and days_now = {{ days }})
        - count(*) filter (subject = 'user' and days_before = {{ days }}) as active_days_{{ days }},
        {%- endfor %}
    from active_days
    group by all
    {%- for days, names in windows.items() %}
    union all by name
    select
        account_id,
        occurred_date + {{ days }} as step_date,
        {%- for subject, name in names.items() %}
        -count(*) filter (subject = '{{ subject }}') as {{ name }},
        {%- endfor %}
    from active_days
    where coalesce(days_to_next >= {{ days }}, true)
    group by all
    {%- endfor %}
    union all by name
    select
        account_id,
        occurred_date + 7 as step_date,
        {%- for days in distribution %}
        count(*) filter (days_to_come - 1 = {{ days }}) - count(*) filter (days_to_come = {{ days }})
            as active_days_{{ days }},
        {%- endfor %}
    from active_days
    where subject = 'user' and days_renewed = 0
    group by all
    -- Idle time of accounts: it grows by a day each day, and an event sets it back to none.
    union all by name
    select
        coalesce(alike_account_id, account_id) as account_id,
        occurred_date as step_date,
        count(*) filter (previous_date is null) as accounts_with_events,
        sum(occurred_date - coalesce(previous_date, date '1970-01-01')) as last_day_numbers,
    from (
        select
            account_id,
            occurred_date,
            lag(occurred_date) over (partition by account_id order by occurred_date) as previous_date,
        from {{ ref('int_usage__account_days') }}
        where events > 0
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
