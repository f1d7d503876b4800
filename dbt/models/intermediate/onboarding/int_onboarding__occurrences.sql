-- What may reach a milestone. Of events only as many of each name are kept as a milestone asks for; which
-- of two at the same instant comes first decides nothing, so they are told by their order.
with names as (
    select event_name, max(nth) as nth
    from {{ ref('onboarding_milestones') }}
    where source = 'event'
    group by all
),

events as (
    select account_id, event_name, unnest(first_occurred_at) as occurred_at,
    from {{ ref('int_usage__month_rollup') }}
    where grain = 'event'
),

first_events as (
    select account_id, events.event_name, unnest(min(occurred_at, nth)) as occurred_at,
    from events
    inner join names on events.event_name = names.event_name
    group by account_id, events.event_name
)

select
    'event' as source,
    account_id,
    event_name,
    row_number() over (partition by account_id, event_name order by occurred_at)::varchar as occurrence_id,
    occurred_at,
    {{ local_date('occurred_at') }} as occurred_date,
from first_events
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
