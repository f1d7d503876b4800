-- What other models read of use for adoption as a month's close finds it, kept as int_usage__month_rollup keeps
-- its figures: features, rules, and how often persons log in.
{{ config(
    materialized = 'incremental',
    unique_key = 'period_start',
    grain = ['grain', 'account_id', 'feature', 'rule_version', 'rule_segment', 'period_start'],
    post_hook = "delete from {{ this }} where period_start not in (select period_start from {{ ref('int_quality__months') }})"
) }}
{%- set subject = "user_id" if var("min_share_of_users") else "account_id" %}
{%- set login_days = [var("depth_window_days"), var("inactive_user_days")] | max %}
{%- set reach %}
    select greatest({{ [7 * var("feature_window_weeks") + 6, login_days] | max }}, coalesce(7 * max(window_weeks) + 6, 0))::integer
    from {{ ref('adoption_rules') }}
{%- endset %}
{%- set rollup %}
user_days as (
    select
        *,
        {{ week_start_of('occurred_date') }} as week_start,
    from {{ ref('int_usage__user_days') }}
    where {{ is_within_reach() }}
),

-- Every day with the closes that look at it.
closes as (
    select
        period_start,
        {{ week_start_of('close_date') }} as window_to,
        window_to - {{ 7 * var("feature_window_weeks") }} as window_from,
        unnest(range(reach_from, close_date, interval 1 day))::date as occurred_date,
        close_date - occurred_date as days_before,
    from stale
),

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
    where occurred_date >= least(period_start, window_from) and {{ is_within_reach() }}
    group by all
),

logins as (
    select
        account_id,
        user_id,
        period_start,
        coalesce(sum(logins) filter (days_before <= {{ var("depth_window_days") }}), 0) as window_logins,
        sum(logins) as all_logins,
    from user_days
    inner join closes using (occurred_date)
    where user_id is not null and days_before <= {{ login_days }}
    group by all
),

account_users as (
    select
        account_id,
        period_start,
        count(*) filter (window_logins >= {{ var("healthy_user_logins") }}) as healthy_users,
        count(*) filter (window_logins between 1 and {{ var("healthy_user_logins") - 1 }}) as active_users,
        count(*) filter (window_logins = 0 and all_logins > 0) as inactive_users,
    from logins
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
    select
        account_id,
        {{ subject }} as subject,
        week_start,
        sum(events) as events,
        sum(sessions) as sessions,
        sum(active_events) as active_events,
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
        any_value(min_share_of_sessions) as min_share_of_sessions,
        coalesce(sum(events) filter (event_name = login_event), 0) as logins,
        count(*) filter (event_name = login_event and events >= min_logins_per_week) as weeks_reached,
        coalesce(sum(sessions) filter (event_name is null), 0) as sessions,
        coalesce(sum(sessions) filter (event_name = key_event), 0) as key_sessions,
        {{ "sum(active_events) > 0" if var("min_share_of_users") else "true" }} as is_judged,
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
        -- Persons who did nothing that makes active are no subjects; where no person is told of, nobody knows.
        if(count(subject) > 0, count(subject) filter (is_judged), null) as subjects,
        count(subject) filter (is_judged and is_fulfilled) as subjects_fulfilling,
        count(subject) filter (is_judged and is_fulfilled is null) as subjects_untold,
    from fulfilments
    group by all
),

rolled_up as (
    select 'account_feature' as grain, * from account_features
    union all by name
    select 'account_users' as grain, * from account_users
    union all by name
    select 'account_rule' as grain, * from account_rules
)
{%- endset %}
{{ months_kept(rollup, reach) }}
