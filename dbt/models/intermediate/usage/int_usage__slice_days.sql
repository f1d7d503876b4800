-- Trailing counts in time linear in active days: who is active on a day is counted from it on for as many
-- days as the window has, so a count steps up on a day that finds somebody uncounted, and down where no
-- further day renews the count.
{%- set windows = {"users": {1: "dau", 7: "wau", 30: "mau"}, "accounts": {1: "daily_active_accounts", 7: "weekly_active_accounts", 30: "monthly_active_accounts"}} %}
{%- set distribution = range(1, 8) %}
with active_days as (
    select 'users' as subject, account_id, user_id as member_id, occurred_date,
    from {{ ref('int_usage__user_days') }}
    where active_events > 0 and user_id is not null
    union all
    select 'accounts', account_id, account_id, occurred_date,
    from {{ ref('int_usage__account_days') }}
    where active_events > 0
),

neighbours as (
    select
        *,
        occurred_date - lag(occurred_date) over by_member as days_since_previous,
        lead(occurred_date) over by_member - occurred_date as days_to_next,
    from active_days
    window by_member as (partition by subject, account_id, member_id order by occurred_date)
),

window_steps as (
    select
        account_id,
        subject || window_days as measure,
        unnest([occurred_date, occurred_date + window_days]) as step_date,
        unnest([
            coalesce(days_since_previous >= window_days, true)::integer,
            -coalesce(days_to_next >= window_days, true)::integer,
        ]) as step,
    from neighbours
    cross join (select unnest([1, 7, 30]) as window_days)
),

-- Of the last seven days a user has been active on one more from an active day on, and on one fewer
-- seven days later.
user_counts as (
    select
        account_id,
        step_date,
        sum(sum(step)) over (partition by account_id, member_id order by step_date) as days_after,
        days_after - sum(step) as days_before,
    from (
        select
            account_id,
            member_id,
            unnest([occurred_date, occurred_date + 7]) as step_date,
            unnest([1, -1]) as step,
        from active_days
        where subject = 'users'
    )
    group by account_id, member_id, step_date
    having sum(step) <> 0
),

-- Idle time of accounts: it grows by a day each day, and an event sets it back to none.
event_days as (
    select
        account_id,
        occurred_date,
        occurred_date - date '1970-01-01' as day_number,
        lag(day_number) over (partition by account_id order by occurred_date) as previous_day_number,
    from {{ ref('int_usage__account_days') }}
    where events > 0
),

steps as (
    select account_id, measure, step_date, step from window_steps
    union all
    select account_id, 'active_days' || unnest([days_before, days_after]), step_date, unnest([-1, 1])
    from user_counts
    union all
    select
        account_id,
        unnest(['known', 'last_day']),
        occurred_date,
        unnest([(previous_day_number is null)::integer, day_number - coalesce(previous_day_number, 0)]),
    from event_days
),

account_steps as (
    select account_id, measure, step_date, sum(step)::bigint as step,
    from steps
    group by all
    having sum(step) <> 0
),

sliced as (
    select
        slice_dimension,
        slice_value,
        step_date as period_start,
        {%- for subject, names in windows.items() %}
        {%- for days, name in names.items() %}
        sum(step) filter (measure = '{{ subject }}{{ days }}') as {{ name }},
        {%- endfor %}
        {%- endfor %}
        {%- for days in distribution %}
        sum(step) filter (measure = 'active_days{{ days }}') as active_days_{{ days }},
        {%- endfor %}
        sum(step) filter (measure = 'known') as accounts_with_events,
        sum(step) filter (measure = 'last_day') as last_day_numbers,
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
        {%- for names in windows.values() %}
        {%- for name in names.values() %}
        coalesce(sum({{ name }}) over so_far, 0)::bigint as {{ name }},
        {%- endfor %}
        {%- endfor %}
        [
            {%- for days in distribution %}
            coalesce(sum(active_days_{{ days }}) over so_far, 0)::bigint,
            {%- endfor %}
        ] as active_day_distribution,
        coalesce(sum(accounts_with_events) over so_far, 0)::bigint as accounts_with_events,
        coalesce(sum(last_day_numbers) over so_far, 0)::bigint as last_day_numbers,
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
