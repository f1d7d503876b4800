-- What the usage of a day is a function of: the landing days that hold events of it, and the
-- late_arrival_days before each of those, because an event that landed there already counts there.
with landed as (
    select dates.*
    from {{ ref('int_usage__landed_dates') }} as dates
    semi join {{ ref('int_quality__export_days') }} as days
        on days.system = 'product' and days.export = 'events' and days.landing_date = dates.landing_date
    where dates.landing_date <= {{ as_of_date() }}
),

deliveries as (
    select
        landed.occurred_date,
        landed.landing_date,
        string_agg(distinct earlier.landing_date || earlier.content_key, ',' order by earlier.landing_date || earlier.content_key) as content,
        any_value(landed.events) as events,
    from landed
    inner join (select distinct landing_date, content_key from landed) as earlier
        on earlier.landing_date between landed.landing_date - {{ var("late_arrival_days") }} and landed.landing_date
    group by all
),

events as (
    select
        occurred_date,
        string_agg(content, ';' order by landing_date) as content,
        list(landing_date order by landing_date) as landing_dates,
        sum(events)::bigint as events,
    from deliveries
    group by all
),

snapshots as (
    select string_agg(content, ';' order by system, export) as content,
    from (
        select system, export, arg_max(content_key, landing_date) as content,
        from {{ ref('int_quality__export_days') }}
        where
            export in ('feature_usage', 'subscriptions')
            and is_in_raw
            and landing_date <= {{ as_of_date() }}
        group by all
    )
),

feature_usage as (
    select distinct occurred_date, snapshots.content
    from {{ ref('int_usage__feature_usage') }}
    cross join snapshots
)

select
    occurred_date,
    md5(concat_ws('/', events.content, feature_usage.content)) as content_key,
    coalesce(landing_dates, []) as landing_dates,
    coalesce(events.events, 0) as events,
from events
full join feature_usage using (occurred_date)
where occurred_date <= {{ as_of_date() }}
