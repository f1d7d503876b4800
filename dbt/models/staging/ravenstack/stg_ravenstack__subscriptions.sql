-- In the columns of stg_billing__subscriptions; mrr_amount is per month whatever the billing frequency.
select
    subscription_id,
    account_id,
    plan_tier as plan_id,
    plan_tier,
    case when is_trial then 'trialing' else 'active' end as status,
    cast(start_date as timestamp) as started_at,
    {{ half_open_end('end_date', 'ravenstack', 'subscriptions') }} as ended_at,
    cast(null as timestamp) as trial_end_at,
    cast(null as timestamp) as cancel_requested_at,
    cast(null as timestamp) as past_due_since,
    cast(null as date) as term_end_date,
    'USD' as currency,
    seats as quantity,
    cast(mrr_amount as decimal(38, 4)) as list_amount,
    cast(null as decimal(28, 12)) as discount_percent,
    'month' as billing_interval,
    1 as interval_count,
    cast(null as timestamp) as updated_at,
    landing_date,
from {{ source('ravenstack', 'subscriptions') }}
where {{ system_is_on('ravenstack') }}
