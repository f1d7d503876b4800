-- The one heavy step. Events are rolled up once, when they land; a day of use is computed again only when
-- what it is a function of has changed: a landing day that holds events of it or lies shortly before one
-- that does (int_usage__dates), or the code and policies that decide (code_version).
{{ config(
    materialized = 'incremental',
    incremental_strategy = 'delete+insert',
    unique_key = 'occurred_date',
    on_schema_change = 'sync_all_columns',
    post_hook = "delete from {{ this }} where (occurred_date, content_key) not in (select (occurred_date, content_key) from {{ ref('int_usage__dates') }})"
) }}
{%- set rollup %}
own_days as (
    select distinct unnest(landing_dates) as landing_date
    from stale
),

earlier_days as (
    select distinct landing_date - unnest(range(1, {{ var("late_arrival_days") }} + 1))::integer as landing_date
    from own_days
),

landed as (
    select *, {{ local_date('occurred_at') }} as occurred_date
    from {{ ref('stg_product__events') }}
    where
        landing_date in (select landing_date from own_days)
        and {{ local_date('occurred_at') }} in (select occurred_date from stale)
),

landed_before as (
    select event_id, landing_date
    from {{ ref('stg_product__events') }}
    where landing_date in (select landing_date from earlier_days)
),

-- The first landing of an event_id wins; one that comes again within late_arrival_days of the delivery
-- before is the same event, a later one counts again.
product_events as (
    select landed.*
    from landed
    anti join landed_before
        on
            landed_before.event_id = landed.event_id
            and landed_before.landing_date < landed.landing_date
            and landed_before.landing_date >= landed.landing_date - {{ var("late_arrival_days") }}
),

-- Time spent: the duration where one is told, else the time to the next event of the session, unless
-- that is too long for the person to have stayed.
timed as (
    select
        account_id,
        user_id,
        event_name,
        feature,
        session_id,
        event_id,
        landing_date,
        occurred_at,
        occurred_date,
        1 as times,
        epoch_us(
            lead(occurred_at) over (
                partition by account_id, session_id, occurred_date
                order by occurred_at, event_id, landing_date
            )
        ) - epoch_us(occurred_at) as gap,
        cast(
            coalesce(
                round(duration_seconds * 1000000),
                if(session_id is not null and gap <= {{ var("session_idle_minutes") }} * 60000000, gap, 0),
                0
            ) as bigint
        ) as microseconds,
    from product_events
),

usage as (
    select * exclude (gap)
    from timed
    union all by name
    select
        account_id,
        'feature_used' as event_name,
        feature,
        occurred_at,
        occurred_date,
        usage_count as times,
        cast(round(coalesce(duration_seconds, 0) * 1000000) as bigint) as microseconds,
    from {{ ref('int_usage__feature_usage') }}
    where account_id is not null and occurred_date in (select occurred_date from stale)
),

-- From the finest to the coarsest, so that every count of distinct sessions and users is a count of rows.
user_session_events as (
    select
        account_id,
        user_id,
        event_name,
        session_id,
        occurred_date,
        sum(times) as events,
        sum(microseconds) as microseconds,
    from usage
    group by all
),

user_day_events as (
    select
        account_id,
        user_id,
        event_name,
        occurred_date,
        sum(events)::bigint as events,
        count(session_id) as sessions,
    from user_session_events
    group by all
),

user_sessions as (
    select
        account_id,
        user_id,
        session_id,
        occurred_date,
        sum(events) as events,
        {% if var("active_events") -%}
        sum(events) filter (
            event_name in ('{{ var("active_events").replace("'", "''").split(",") | map("trim") | join("', '") }}')
        ) as active_events,
        {%- else -%}
        sum(events) as active_events,
        {%- endif %}
        sum(events) filter (event_name = '{{ var("login_event") }}') as logins,
        sum(events) filter (event_name = '{{ var("key_event") }}') as key_actions,
        sum(microseconds) as microseconds,
    from user_session_events
    group by all
),

-- Nobody works longer than a day has: a user's time is capped, and an account's is that of its users.
user_days as (
    select
        account_id,
        user_id,
        occurred_date,
        sum(events)::bigint as events,
        coalesce(sum(active_events), 0)::bigint as active_events,
        coalesce(sum(logins), 0)::bigint as logins,
        coalesce(sum(key_actions), 0)::bigint as key_actions,
        count(session_id) as sessions,
        sum(microseconds) / 60000000 as minutes_told,
        if(user_id is null, minutes_told, least(minutes_told, {{ var("max_minutes_per_user_day") }}))
        ::decimal(18, 6) as minutes,
    from user_sessions
    group by account_id, user_id, occurred_date
),

-- Two users may share a session.
account_sessions as (
    select account_id, occurred_date, count(*) as sessions,
    from (select distinct account_id, session_id, occurred_date from user_sessions where session_id is not null)
    group by all
),

account_days as (
    select
        account_id,
        occurred_date,
        sum(events)::bigint as events,
        sum(active_events)::bigint as active_events,
        sum(logins)::bigint as logins,
        sum(key_actions)::bigint as key_actions,
        count(user_id) filter (active_events > 0) as active_users,
        sum(minutes)::decimal(18, 6) as minutes,
    from user_days
    group by all
),

account_user_day_features as (
    select account_id, user_id, feature, occurred_date, sum(times) as events,
    from usage
    where feature is not null
    group by all
),

account_day_features as (
    select account_id, feature, occurred_date, sum(events)::bigint as events, count(user_id) as users,
    from account_user_day_features
    group by all
),

-- As many of each name as a milestone may ask for.
milestones as (
    select event_name, max(nth) as nth
    from {{ ref('onboarding_milestones') }}
    where source = 'event'
    group by all
),

occurrences as (
    select account_id, timed.event_name, event_id, landing_date, occurred_at, occurred_date
    from timed
    inner join milestones on milestones.event_name = timed.event_name
    qualify
        row_number() over (
            partition by account_id, occurred_date, timed.event_name order by occurred_at, event_id, landing_date
        ) <= milestones.nth
),

rolled_up as (
    select 'user_day_event' as grain, * from user_day_events
    union all by name
    select 'user_day' as grain, * exclude (minutes_told) from user_days
    union all by name
    select 'account_day' as grain, account_days.*, coalesce(account_sessions.sessions, 0) as sessions
    from account_days
    left join account_sessions using (account_id, occurred_date)
    union all by name
    select 'account_day_feature' as grain, * from account_day_features
    union all by name
    select 'occurrence' as grain, * from occurrences
    union all by name
    -- Known, even where nothing of the date counts.
    select 'date' as grain, occurred_date from stale
)
{%- endset %}
{%- set version = code_version(rollup) %}
with stale as (
    select *
    from {{ ref('int_usage__dates') }}
    {%- if is_incremental() %}
    anti join (
        select occurred_date, content_key
        from {{ this }}
        where grain = 'date' and version = '{{ version }}'
    ) as known using (occurred_date, content_key)
    {%- endif %}
),
{{ rollup }}

select
    rolled_up.grain,
    rolled_up.account_id,
    rolled_up.user_id,
    rolled_up.event_name,
    rolled_up.feature,
    rolled_up.event_id,
    rolled_up.events,
    rolled_up.active_events,
    rolled_up.logins,
    rolled_up.key_actions,
    rolled_up.sessions,
    rolled_up.users,
    rolled_up.active_users,
    rolled_up.minutes,
    rolled_up.occurred_at,
    rolled_up.occurred_date,
    rolled_up.landing_date,
    stale.content_key,
    '{{ version }}' as version,
from rolled_up
inner join stale using (occurred_date)
