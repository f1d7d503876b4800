select
    ticket_id,
    account_id,
    calendar,
    requester_user_id,
    created_at,
    first_replied_at,
    solved_at,
    status,
    priority,
    channel,
    is_escalated,
    reopen_count,
    satisfaction_score,
    satisfaction_comment,
    updated_at,
    landing_date,
from {{ source('support', 'tickets') }}
where {{ system_is_on('support') }}
