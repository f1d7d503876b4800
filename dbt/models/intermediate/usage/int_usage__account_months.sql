with users as (
    select
        account_id,
        cast(date_trunc('month', occurred_date) as date) as period_start,
        count(distinct user_id) filter (active_events > 0) as active_users,
    from {{ ref('int_usage__user_days') }}
    group by all
),

features as (
    select
        account_id,
        cast(date_trunc('month', occurred_date) as date) as period_start,
        count(distinct feature) as features_used,
    from {{ ref('int_usage__account_day_features') }}
    group by all
),

months as (
    select
        account_id,
        cast(date_trunc('month', occurred_date) as date) as period_start,
        count(*) filter (active_events > 0) as active_days,
        sum(events)::bigint as events,
        sum(active_events)::bigint as active_events,
        sum(logins)::bigint as logins,
        sum(key_actions)::bigint as key_actions,
        sum(sessions)::bigint as sessions,
        sum(minutes)::decimal(18, 6) as minutes,
        max(occurred_date) filter (events > 0) as last_event_date,
    from {{ ref('int_usage__account_days') }}
    group by all
)

select
    months.account_id,
    months.period_start,
    users.active_users,
    months.active_days,
    months.events,
    months.active_events,
    months.logins,
    months.key_actions,
    months.sessions,
    months.minutes,
    coalesce(features.features_used, 0) as features_used,
    months.last_event_date,
from months
left join users using (account_id, period_start)
left join features using (account_id, period_start)
