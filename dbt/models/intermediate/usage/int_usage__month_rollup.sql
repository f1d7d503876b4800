-- What other models read of a month's use, computed again only when what it is a function of has changed
-- (int_usage__months, code_version): closed months cost a night nothing. Who pays, for what and in which
-- slice changes otherwise and is joined behind.
{{ config(
    materialized = 'incremental',
    unique_key = 'period_start',
    grain = ['grain', 'account_id', 'feature', 'rule_version', 'rule_segment', 'week_start', 'days_active', 'step_date', 'period_start'],
    post_hook = "delete from {{ this }} where period_start not in (select period_start from {{ ref('int_usage__months') }})"
) }}
{%- set trailing_windows = {
    7: {"user": "wau", "account": "weekly_active_accounts"},
    30: {"user": "mau", "account": "monthly_active_accounts"},
} %}
{%- set subject = "user_id" if var("min_share_of_users") else "account_id" %}
{%- set rollup %}
-- A day may count in several months: in its own, and in those that look back on it.
account_days as (
    select *, date_trunc('month', occurred_date)::date as month_start,
    from {{ ref('int_usage__account_days') }}
    where
        occurred_date >= (select min(reach_from) from stale)
        and occurred_date < (select max(reach_to) from stale)
),

user_days as (
    select
        *,
        date_trunc('month', occurred_date)::date as month_start,
        {{ week_start_of('occurred_date') }} as week_start,
    from {{ ref('int_usage__user_days') }}
    where
        occurred_date >= (select min(reach_from) from stale)
        and occurred_date < (select max(reach_to) from stale)
),

closes as (
    select
        period_start,
        close_date,
        {{ week_start_of('close_date') }} as window_to,
        window_to - {{ 7 * var("feature_window_weeks") }} as window_from,
        unnest(range(reach_from, close_date, interval 1 day))::date as occurred_date,
        close_date - occurred_date as days_before,
    from stale
),

-- Features.
account_features as (
    select
        account_id,
        feature,
        period_start,
        min(occurred_date) filter (occurred_date >= period_start) as first_used_date,
        count(distinct {{ week_start_of('occurred_date') }}) filter (
            occurred_date >= window_from and occurred_date < window_to
        ) as weeks_used,
    from {{ ref('int_usage__account_day_features') }}
    inner join closes using (occurred_date)
    where
        occurred_date >= least(period_start, window_from)
        and occurred_date >= (select min(reach_from) from stale)
    group by all
),

features as (
    select account_id, period_start, count(first_used_date) as features_used,
    from account_features
    group by all
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
        list_sort(list(distinct {{ week_start_of('occurred_date') }}) filter (active_events > 0)) as active_weeks,
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

-- Persons, by the days they were active on in the month and by their logins before its close.
user_months as (
    select
        account_id,
        user_id,
        stale.period_start,
        count(*) filter (active_events > 0) as active_days,
        min(occurred_date) as first_date,
    from user_days
    inner join stale on user_days.month_start = stale.period_start
    where user_id is not null
    group by all
),

user_closes as (
    select
        account_id,
        user_id,
        period_start,
        count(*) filter (days_before <= 28 and active_events > 0) as active_days_28d,
        coalesce(sum(logins) filter (days_before <= {{ var("depth_window_days") }}), 0) as window_logins,
        coalesce(
            sum(logins) filter (days_before <= {{ [var("depth_window_days"), var("inactive_user_days")] | max }}), 0
        ) as all_logins,
    from user_days
    inner join closes using (occurred_date)
    where user_id is not null
    group by all
),

users as (
    select
        account_id,
        period_start,
        count(*) filter (user_months.active_days > 0) as active_users,
        min(user_months.first_date) as first_user_date,
        count(*) filter (active_days_28d > 0) as active_users_28d,
        count(*) filter (window_logins >= {{ var("healthy_user_logins") }}) as users_often_logged_in,
        count(*) filter (window_logins between 1 and {{ var("healthy_user_logins") - 1 }}) as users_logged_in,
        count(*) filter (window_logins = 0 and all_logins > 0) as users_no_longer_logged_in,
    from user_closes
    left join user_months using (account_id, user_id, period_start)
    group by all
),

-- On how many days of a calendar month or week persons were active.
active_days as (
    select account_id, period_start, null as week_start, active_days as days_active, count(*) as users,
    from user_months
    where active_days > 0
    group by all
    union all
    select account_id, period_start, week_start, days_active, count(*),
    from (
        select account_id, user_id, stale.period_start, week_start, count(*) as days_active,
        from user_days
        inner join stale on date_trunc('month', week_start)::date = stale.period_start
        where active_events > 0 and user_id is not null
        group by all
    )
    group by all
),

-- Every rule on every account, whether it comes to be judged by it or not.
rules as (
    select
        adoption_rules.*,
        stale.period_start,
        stale.close_date,
        {{ week_start_of('stale.close_date') }} as window_to,
        window_to - 7 * window_weeks::integer as window_from,
    from {{ ref('adoption_rules') }}
    cross join stale
),

rule_weeks as (
    select *, unnest(range(window_from, window_to, interval 7 day))::date as week_start,
    from rules
),

-- The events that rules ask for by week, and, without a name, all that happened in it.
weeks as (
    select
        account_id,
        {{ subject }} as subject,
        event_name,
        {{ week_start_of('occurred_date') }} as week_start,
        sum(events) as events,
        sum(sessions) as sessions,
    from {{ ref('int_usage__user_day_events') }}
    where
        event_name in (select unnest([login_event, key_event]) from rules)
        and occurred_date >= (select min(window_from) from rules)
        and occurred_date < (select max(window_to) from rules)
    group by all
    union all by name
    select account_id, {{ subject }} as subject, week_start, sum(events) as events, sum(sessions) as sessions,
    from user_days
    group by all
),

subjects as (
    select
        weeks.account_id,
        weeks.subject,
        rule_weeks.period_start,
        rule_weeks.rule_version,
        rule_weeks.segment as rule_segment,
        any_value(min_weeks) as min_weeks,
        any_value(min_share_of_sessions)::decimal(9, 6) as min_share_of_sessions,
        coalesce(sum(events) filter (event_name = login_event), 0) as logins,
        count(*) filter (event_name = login_event and events >= min_logins_per_week) as weeks_reached,
        coalesce(sum(sessions) filter (event_name is null), 0) as sessions,
        coalesce(sum(sessions) filter (event_name = key_event), 0) as key_sessions,
    from weeks
    inner join rule_weeks using (week_start)
    group by all
),

-- Null where all hangs on the sessions and none is told.
fulfilments as (
    select
        *,
        weeks_reached >= min_weeks
        and case
            when min_share_of_sessions = 0 then true
            when sessions > 0 then key_sessions >= min_share_of_sessions * sessions
        end as is_fulfilled,
    from subjects
),

account_rules as (
    select
        account_id,
        period_start,
        rule_version,
        rule_segment,
        sum(logins)::bigint as window_logins,
        max(weeks_reached) as weeks_reached,
        sum(sessions)::bigint as window_sessions,
        sum(key_sessions)::bigint as window_key_sessions,
        count(subject) as subjects,
        count(*) filter (subject is not null and is_fulfilled) as subjects_fulfilling,
        count(*) filter (subject is not null and is_fulfilled is null) as subjects_untold,
    from fulfilments
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
        date_trunc('month', step_date)::date as period_start,
        sum(columns(* exclude (account_id, step_date)))::bigint,
    from steps
    where step_date < (select max(close_date) from stale)
    group by all
),

rolled_up as (
    select
        'account' as grain,
        * replace (coalesce(active_users, 0) as active_users, coalesce(features_used, 0) as features_used),
    from windows
    full join users using (account_id, period_start)
    left join months using (account_id, period_start)
    left join features using (account_id, period_start)
    union all by name
    select 'account_feature' as grain, * from account_features
    union all by name
    select 'account_active_days' as grain, * from active_days
    union all by name
    select 'account_rule' as grain, * from account_rules
    union all by name
    select 'account_step' as grain, * from account_steps
)
{%- endset %}
{%- set version = code_version(rollup) %}
with stale as (
    select months.* replace (md5(content_key || '{{ version }}') as content_key),
    from {{ ref('int_usage__months') }} as months
    {%- if is_incremental() %}
    anti join {{ this }} as known
        on
            known.grain = 'month'
            and known.period_start = months.period_start
            and known.content_key = md5(months.content_key || '{{ version }}')
    {%- endif %}
),
{{ rollup }},

-- A month is known, even where nothing of it counts.
dated as (
    select * from rolled_up
    semi join stale using (period_start)
    union all by name
    select 'month' as grain, period_start, content_key from stale
)

select * from dated
