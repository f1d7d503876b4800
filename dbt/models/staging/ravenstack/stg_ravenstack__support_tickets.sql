-- In the columns of stg_support__tickets; the first reply is dated by its delay, which is none beyond a
-- hundred years.
select
    ticket_id,
    account_id,
    cast(null as varchar) as calendar,
    cast(null as varchar) as requester_user_id,
    submitted_at as created_at,
    case
        when abs(first_response_time_minutes) < 100 * 365 * 24 * 60
            then submitted_at + to_microseconds(cast(first_response_time_minutes * 60000000 as bigint))
    end as first_replied_at,
    closed_at as solved_at,
    if(closed_at is null, 'open', 'solved') as status,
    priority,
    cast(null as varchar) as channel,
    escalation_flag as is_escalated,
    cast(null as integer) as reopen_count,
    satisfaction_score,
    cast(null as varchar) as satisfaction_comment,
    cast(null as timestamp) as updated_at,
    landing_date,
from {{ source('ravenstack', 'support_tickets') }}
where {{ system_is_on('ravenstack') }}
