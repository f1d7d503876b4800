-- What other models read of an account's use in a month, computed again only when what it is a function of has
-- changed: closed months are kept. Who pays and who is in which slice changes otherwise and is joined behind.
-- Nothing here hangs on a policy, or all figures of use would.
{{ config(
    materialized = 'incremental',
    unique_key = 'period_start',
    grain = ['grain', 'account_id', 'user_id', 'event_name', 'step_date', 'period_start'],
    post_hook = "delete from {{ this }} where period_start not in (select period_start from {{ ref('int_quality__months') }})"
) }}
{%- set trailing_windows = {
    7: {"user": "wau", "account": "weekly_active_accounts"},
    30: {"user": "mau", "account": "monthly_active_accounts"},
} %}
{%- set rollup %}
account_days as (
    select *, {{ month_of('occurred_date') }} as month_start,
    from {{ ref('int_usage__account_days') }}
    where {{ is_within_reach() }}
),

user_days as (
    select *
    from {{ ref('int_usage__user_days') }}
    where {{ is_within_reach() }}
),

-- Every day with the closes that look at it.
closes as (
    select
        period_start,
        unnest(range(reach_from, close_date, interval 1 day))::date as occurred_date,
        close_date - occurred_date as days_before,
    from stale
),

-- The month, and the 28 days up to its close against the 28 before: whole weeks, because use follows the week.
months as (
    select
        account_id,
        stale.period_start,
        count(*) filter (active_events > 0) as active_days,
        sum(events)::bigint as events,
        sum(active_events)::bigint as active_events,
        sum(logins)::bigint as logins,
        sum(key_actions)::bigint as key_actions,
        sum(sessions)::bigint as sessions,
        sum(minutes)::decimal(18, 6) as minutes,
        min(occurred_date) as first_date,
        min(occurred_date) filter (events > 0) as first_event_date,
        max(occurred_date) filter (events > 0) as last_event_date,
    from account_days
    inner join stale on account_days.month_start = stale.period_start
    group by all
),

windows as (
    select
        account_id,
        period_start,
        sum(events) filter (days_before <= 28)::bigint as events_28d,
        sum(events) filter (days_before > 28)::bigint as events_previous_28d,
        count(*) filter (days_before <= 28 and active_events > 0) as active_days_28d,
        sum(logins) filter (days_before <= 28)::bigint as logins_28d,
        sum(key_actions) filter (days_before <= 28)::bigint as key_actions_28d,
        sum(minutes) filter (days_before <= 28)::decimal(18, 6) as minutes_28d,
    from account_days
    inner join closes using (occurred_date)
    where days_before <= 56
    group by all
),

users as (
    select
        account_id,
        closes.period_start,
        count(distinct user_id) filter (active_events > 0 and occurred_date >= period_start) as active_users,
        count(distinct user_id) filter (active_events > 0 and days_before <= 28) as active_users_28d,
        min(occurred_date) filter (user_id is not null and occurred_date >= period_start) as first_user_date,
    from user_days
    inner join closes using (occurred_date)
    where occurred_date >= period_start or days_before <= 28
    group by all
),

user_months as (
    select account_id, user_id, stale.period_start, list_sort(list(occurred_date)) as active_dates,
    from user_days
    inner join stale on date_trunc('month', occurred_date) = stale.period_start
    where active_events > 0 and user_id is not null
    group by all
),

-- Of each event that a rule or milestone asks for, as many as a milestone may ask for.
event_months as (
    select
        account_id,
        user_day_events.event_name,
        stale.period_start,
        min(occurred_date) filter (events > 0) as first_event_date,
        list_sort(flatten(list(first_occurred_at)))[:any_value(nth)] as first_occurred_at,
    from {{ ref('int_usage__user_day_events') }} as user_day_events
    inner join stale on date_trunc('month', occurred_date) = stale.period_start
    left join (
        select event_name, max(nth) as nth
        from {{ ref('onboarding_milestones') }}
        where source = 'event'
        group by all
    ) as milestones using (event_name)
    where {{ is_within_reach() }}
    group by all
),

features as (
    select account_id, stale.period_start, count(distinct feature) as features_used,
    from {{ ref('int_usage__account_day_features') }}
    inner join stale on date_trunc('month', occurred_date) = stale.period_start
    where {{ is_within_reach() }}
    group by all
),

-- Trailing counts: who is active on a day is counted from it on for as many days as the window has, so a
-- count steps up on a day that finds somebody uncounted, and down where no further day renews the count.
members as (
    select *
    from (
        select 'user' as subject, account_id, user_id as member_id, occurred_date,
        from user_days
        where active_events > 0 and user_id is not null
        union all
        select 'account', account_id, null, occurred_date,
        from account_days
        where active_events > 0
    )
    where
        occurred_date >= (select min(period_start) - {{ trailing_windows | max }} from stale)
        and occurred_date < (select max(close_date) from stale)
),

-- Of the seven days that end with the day, and of those around it, how many a member was active on.
member_days as (
    select
        subject,
        account_id,
        occurred_date,
        occurred_date - date '1970-01-01' as day_number,
        day_number - lag(day_number) over by_member as days_since_previous,
        lead(day_number) over by_member - day_number as days_to_next,
        count(*) over (by_member range between 6 preceding and current row) as days_now,
        count(*) over (by_member range between 7 preceding and 1 preceding) as days_before,
        count(*) over (by_member range between current row and 6 following) as days_to_come,
        count(*) over (by_member range between 7 following and 7 following) as days_renewed,
    from members
    window by_member as (partition by subject, account_id, member_id order by day_number)
),

-- A member that is counted steps out of a window as many days later as it has, if nothing renews the count.
steps as (
    select
        account_id,
        occurred_date as step_date,
        count(*) filter (subject = 'user') as dau,
        count(*) filter (subject = 'account') as daily_active_accounts,
        {%- for days, names in trailing_windows.items() %}
        {%- for subject, name in names.items() %}
        count(*) filter (subject = '{{ subject }}' and coalesce(days_since_previous >= {{ days }}, true))
            as {{ name }},
        {%- endfor %}
        {%- endfor %}
        {%- for days in range(1, 8) %}
        count(*) filter (subject = 'user' and days_now = {{ days }})
        - count(*) filter (subject = 'user' and days_before = {{ days }}) as active_days_{{ days }},
        {%- endfor %}
    from member_days
    group by all
    {%- for days, names in trailing_windows.items() %}
    union all by name
    select
        account_id,
        occurred_date + {{ days }} as step_date,
        {%- for subject, name in names.items() %}
        -count(*) filter (subject = '{{ subject }}') as {{ name }},
        {%- endfor %}
    from member_days
    where coalesce(days_to_next >= {{ days }}, true)
    group by all
    {%- endfor %}
    union all by name
    select
        account_id,
        occurred_date + 7 as step_date,
        {%- for days in range(1, 8) %}
        count(*) filter (days_to_come - 1 = {{ days }}) - count(*) filter (days_to_come = {{ days }})
            as active_days_{{ days }},
        {%- endfor %}
    from member_days
    where subject = 'user' and days_renewed = 0
    group by all
    union all by name
    select
        account_id,
        occurred_date as step_date,
        occurred_date - lag(occurred_date) over (
            partition by account_id, month_start order by occurred_date
        ) as days_idle,
    from account_days
    where events > 0 and month_start in (select period_start from stale)
),

account_steps as (
    select
        account_id,
        step_date,
        {{ month_of('step_date') }} as period_start,
        sum(columns(* exclude (account_id, step_date)))::bigint,
    from steps
    where step_date < (select max(close_date) from stale)
    group by all
),

accounts as (
    select * replace (coalesce(active_users, 0) as active_users, coalesce(features_used, 0) as features_used),
    from windows
    left join months using (account_id, period_start)
    left join users using (account_id, period_start)
    left join features using (account_id, period_start)
),

rolled_up as (
    select 'account' as grain, * from accounts
    union all by name
    select 'account_step' as grain, * from account_steps
    union all by name
    select 'user' as grain, * from user_months
    union all by name
    select 'event' as grain, * from event_months
)
{%- endset %}
-- Twice 28 days is as far as a figure looks back.
{{ months_kept(rollup, "select 56") }}
