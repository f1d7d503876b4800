select
    cancellation_id,
    account_id,
    subscription_id,
    cancelled_at,
    reason_code,
    competitor,
    is_voluntary,
    comment,
    landing_date,
from {{ source('billing', 'cancellations') }}
where {{ system_is_on('billing') }}
