-- What a person may get wrong in the business_hours seed, each in a sentence.
with hours as (
    select
        *,
        try_cast(opens_at as time) as opens,
        try_cast(closes_at as time) as closes,
    from {{ ref('business_hours') }}
)

select
    calendar,
    weekday,
    'the weekday must be an English day name in lower case' as problem,
from hours
where weekday not in ('monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday')
union all
select
    calendar,
    weekday,
    'opens_at and closes_at must be times of one day, the opening first: ' || opens_at || ' to ' || closes_at,
from hours
where not coalesce(opens < closes, false)
union all
select
    calendar,
    weekday,
    'this interval begins before the one before it has ended: ' || opens_at,
from hours
qualify opens < lag(closes) over (partition by calendar, weekday order by opens, closes)
union all
select
    calendar,
    null,
    'a calendar has one time zone, not ' || string_agg(distinct time_zone, ', ' order by time_zone),
from hours
group by calendar
having count(distinct time_zone) > 1
union all
select
    calendar,
    weekday,
    'no such time zone: ' || coalesce(time_zone, 'empty'),
from hours
where coalesce(time_zone, '') not in (select name from pg_timezone_names())
union all
select
    {{ text(var("default_calendar")) }},
    null,
    'the policy default_calendar names a calendar that is not in the seed',
where {{ text(var("default_calendar")) }} not in (select calendar from hours)
