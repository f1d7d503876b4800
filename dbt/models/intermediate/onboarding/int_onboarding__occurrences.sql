-- What may reach a milestone. Of events only as many of each name are kept as a milestone asks for.
with names as (
    select event_name, max(nth) as nth
    from {{ ref('onboarding_milestones') }}
    where source = 'event'
    group by all
),

events as (
    select
        account_id,
        rollup.event_name,
        event_id as occurrence_id,
        occurred_at,
        occurred_date,
        landing_date,
    from {{ ref('int_usage__rollup') }} as rollup
    inner join names on rollup.event_name = names.event_name
    where grain = 'occurrence'
    qualify
        row_number() over (
            partition by account_id, rollup.event_name order by occurred_at, event_id, landing_date
        ) <= names.nth
)

select 'event' as source, *
from events
union all by name
select
    'order' as source,
    account_id,
    order_id as occurrence_id,
    ordered_at as occurred_at,
    ordered_date as occurred_date,
from {{ ref('int_onboarding__orders') }}
union all by name
select
    'outcome' as source,
    account_id,
    outcome_id as occurrence_id,
    achieved_at as occurred_at,
    achieved_date as occurred_date,
from {{ ref('int_accounts__desired_outcomes') }}
where achieved_at is not null
