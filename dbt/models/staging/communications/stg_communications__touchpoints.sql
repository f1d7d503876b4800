select
    touchpoint_id,
    account_id,
    user_id,
    kind,
    direction,
    occurred_at,
    duration_seconds,
    thread_id,
    is_automated,
    sentiment,
    subject,
    landing_date,
from {{ source('communications', 'touchpoints') }}
where {{ system_is_on('communications') }}
