-- The first landing of an event_id wins; one that comes again within late_arrival_days is the same
-- event, a later one counts again.
{{ config(materialized = 'view') }}
with deliveries as (
    select
        *,
        lag(landing_date) over (partition by event_id order by landing_date) as landed_before,
    from {{ ref('stg_product__events') }}
    where landing_date <= {{ as_of_date() }}
)

select
    * exclude (landed_before),
    {{ local_date('occurred_at') }} as occurred_date,
from deliveries
where
    occurred_at < {{ as_of_end() }}
    and (landed_before is null or landing_date > landed_before + {{ var("late_arrival_days") }})
