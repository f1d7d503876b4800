select
    event_id,
    account_id,
    user_id,
    event_name,
    feature,
    occurred_at,
    session_id,
    duration_seconds,
    landing_date,
from {{ source('product', 'events') }}
where {{ system_is_on('product') }}
