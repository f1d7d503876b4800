-- In the columns of stg_billing__cancellations; the source does not say who chose to end it.
select
    churn_event_id as cancellation_id,
    account_id,
    cast(null as varchar) as subscription_id,
    cast(churn_date as timestamp) as cancelled_at,
    reason_code,
    cast(null as varchar) as competitor,
    cast(null as boolean) as is_voluntary,
    feedback_text as comment,
    landing_date,
from {{ source('ravenstack', 'churn_events') }}
where {{ system_is_on('ravenstack') }}
