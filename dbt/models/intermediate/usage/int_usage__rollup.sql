-- The one heavy step. Events are rolled up once, when they land; a day of use is computed again only when
-- what it is a function of has changed: a landing day that holds events of it or lies shortly before one
-- that does (int_usage__dates), or the code and policies that decide (code_version). Days are taken in
-- batches that fit in memory, because sorting and grouping all of a long history at once would spill.
{{ config(
    materialized = 'incremental',
    unique_key = 'occurred_date',
    grain = ['grain', 'account_id', 'user_id', 'event_name', 'occurred_date'],
    batches_of = 'int_usage__dates',
    post_hook = "delete from {{ this }} where occurred_date in (select occurred_date from {{ this }} where grain = 'date' and occurred_date not in (select occurred_date from {{ ref('int_usage__dates') }}))"
) }}
{%- set rollup %}
own_days as (
    select distinct unnest(landing_dates) as landing_date
    from stale
),

-- What landed shortly before, where the same events may have come; often, as with the first file, nothing did.
earlier_days as (
    select distinct own_days.landing_date, known.landing_date as earlier_date
    from own_days
    inner join {{ ref('int_usage__landed_dates') }} as known
        on
            known.landing_date < own_days.landing_date
            and known.landing_date >= own_days.landing_date - {{ var("late_arrival_days") }}
),

-- The bounds, wider than the days in any time zone, spare the reader most of a long file.
landed as not materialized (
    select *, {{ local_date('occurred_at') }} as occurred_date
    from {{ ref('stg_product__events') }}
    where
        landing_date in (select landing_date from own_days)
        and occurred_at >= (select min(occurred_date) - interval 1 day from stale)
        and occurred_at < (select max(occurred_date) + interval 2 day from stale)
),

-- Materialized, because joined at once DuckDB reads the events of all of history for it.
landed_before as materialized (
    select event_id, landing_date
    from {{ ref('stg_product__events') }}
    where landing_date in (select earlier_date from earlier_days)
),

-- The first landing of an event_id wins; one that comes again within late_arrival_days of the delivery
-- before is the same event, a later one counts again.
repeated as (
    select distinct landed.event_id, landed.landing_date
    from earlier_days
    inner join landed using (landing_date)
    inner join landed_before
        on
            landed_before.event_id = landed.event_id
            and landed_before.landing_date = earlier_days.earlier_date
),

product_events as (
    select *
    from landed
    anti join repeated using (event_id, landing_date)
    where occurred_date in (select occurred_date from stale)
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
        occurred_at,
        occurred_date,
        1 as times,
        epoch_us(
            lead(occurred_at) over (
                partition by occurred_date, account_id, session_id
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
        occurred_date,
        usage_count as times,
        cast(round(coalesce(duration_seconds, 0) * 1000000) as bigint) as microseconds,
    from {{ ref('int_usage__feature_usage') }}
    where account_id is not null and occurred_date in (select occurred_date from stale)
),

-- From the finest to the coarsest, so that a count of distinct sessions or users is a count of rows.
user_sessions as (
    select
        account_id,
        user_id,
        session_id,
        occurred_date,
        sum(times) as events,
        sum(times)
        {%- if var("active_events") %} filter ({{ is_named("event_name", var("active_events")) }}){% endif %} as active_events,
        sum(times) filter (event_name = {{ text(var("login_event")) }}) as logins,
        sum(times) filter (event_name = {{ text(var("key_event")) }}) as key_actions,
        sum(microseconds) as microseconds,
    from usage
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

-- Two users may share a session.
account_sessions as (
    select account_id, occurred_date, count(*) as sessions,
    from (select distinct account_id, session_id, occurred_date from user_sessions where session_id is not null)
    group by all
),

account_features as (
    select account_id, occurred_date, list(feature order by feature) as features,
    from (select distinct account_id, feature, occurred_date from usage where feature is not null and times > 0)
    group by all
),

-- The events that rules and milestones ask for by name, and how many of a day a milestone may ask for.
asked_for as (
    select event_name, max(nth) as nth,
    from (
        select unnest([login_event, key_event]) as event_name, 1 as nth from {{ ref('adoption_rules') }}
        union all
        select event_name, nth from {{ ref('onboarding_milestones') }} where source = 'event'
    )
    group by all
),

user_day_events as (
    select
        account_id,
        user_id,
        usage.event_name,
        occurred_date,
        sum(times)::bigint as events,
        count(distinct session_id) as sessions,
        coalesce(min(occurred_at, nth), []) as first_occurred_at,
    from usage
    inner join asked_for on asked_for.event_name = usage.event_name
    group by account_id, user_id, usage.event_name, occurred_date
),

rolled_up as (
    select 'user_day_event' as grain, * from user_day_events
    union all by name
    select 'user_day' as grain, * exclude (minutes_told) from user_days
    union all by name
    select
        'account_day' as grain,
        account_days.*,
        coalesce(sessions, 0) as sessions,
        coalesce(features, []) as features,
    from account_days
    left join account_sessions using (account_id, occurred_date)
    left join account_features using (account_id, occurred_date)
)
{%- endset %}
{%- set version = code_version(rollup) %}
with stale as (
    select dates.*
    from {{ ref('int_usage__dates') }} as dates
    {%- if is_incremental() %}
    anti join (
        select occurred_date, content_key
        from {{ this }}
        where grain = 'date' and version = '{{ version }}'
    ) as known using (occurred_date, content_key)
    {%- endif %}
    where getvariable('done_until') is null or dates.occurred_date > getvariable('done_until')
    qualify getvariable('done_until') is null or sum(events) over (order by dates.occurred_date) - events < 2000000
),
{{ rollup }},

-- A date is known, even where nothing of it counts.
dated as (
    select * from rolled_up
    union all by name
    select 'date' as grain, occurred_date, content_key, '{{ version }}' as version from stale
)

select
    grain,
    account_id,
    user_id,
    event_name,
    events,
    active_events,
    logins,
    key_actions,
    sessions,
    active_users,
    minutes,
    features,
    first_occurred_at,
    occurred_date,
    content_key,
    version,
from dated
