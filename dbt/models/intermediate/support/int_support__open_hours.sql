-- When each calendar is open, in UTC, with the open time before it: the open time between two instants is
-- the difference of two look-ups, however far apart they lie.
-- A calendar is open while the clock of its zone shows a time within its hours. So an hour that the clock
-- skips is open for nobody, and one that it shows twice is open twice.
-- Days reach one beyond the last that the as-of day touches in any zone, because a change of the clock shows
-- against the day after.
with days as (
    select unnest(range(first_day, {{ as_of_date() }} + 3, interval 1 day)) as day_at
    from (
        select cast(min(created_at) as date) - 1 as first_day
        from (
            {% for system, export in exports_of('tickets') %}
            select created_at from {{ ref("stg_" ~ system ~ "__" ~ export) }}
            {{ "union all" if not loop.last }}
            {% endfor %}
        )
    )
),

zone_days as (
    select
        time_zone,
        day_at,
        timezone(time_zone, timezone('UTC', day_at)) - day_at as clock_ahead,
        coalesce(lead(clock_ahead) over (partition by time_zone order by day_at), clock_ahead) <> clock_ahead
            as has_change,
    from (select distinct time_zone from {{ ref('business_hours') }}) as zones
    cross join days
),

-- Clocks change at a full minute; only the few days on which they do are looked at minute by minute.
moments as (
    select
        time_zone,
        unnest(range(day_at, day_at + interval 1 day, if(has_change, interval 1 minute, interval 1 day))) as seen_at,
    from zone_days
),

changes as (
    select time_zone, seen_at, timezone(time_zone, timezone('UTC', seen_at)) - seen_at as clock_ahead,
    from moments
    qualify clock_ahead is distinct from lag(clock_ahead) over (partition by time_zone order by seen_at)
),

clocks as (
    select
        time_zone,
        clock_ahead,
        if(lag(seen_at) over by_zone is null, timestamp '-infinity', seen_at) as shown_from,
        coalesce(lead(seen_at) over by_zone, timestamp 'infinity') as shown_to,
    from changes
    window by_zone as (partition by time_zone order by seen_at)
),

hours as (
    select
        calendar,
        time_zone,
        cast(day_at as date) + cast(opens_at as time) as opens_at,
        cast(day_at as date) + cast(closes_at as time) as closes_at,
    from {{ ref('business_hours') }}
    inner join days on weekday = lower(dayname(day_at))
),

stretches as (
    select
        calendar,
        greatest(opens_at - clock_ahead, shown_from) as opened_at,
        least(closes_at - clock_ahead, shown_to) as closed_at,
    from hours
    inner join clocks
        on
            hours.time_zone = clocks.time_zone
            and opens_at - clock_ahead < shown_to
            and closes_at - clock_ahead > shown_from
)

select
    calendar,
    coalesce(
        sum(epoch_us(closed_at) - epoch_us(opened_at)) over (
            partition by calendar order by opened_at
            rows between unbounded preceding and 1 preceding
        ),
        0
    )::bigint as microseconds_before,
    opened_at,
    closed_at,
from stretches
