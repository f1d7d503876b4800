select
    outcome_id,
    account_id,
    stated_outcome,
    status,
    evidence,
    value,
    days_after_due,
    achieved_at,
    due_date,
from {{ ref('int_accounts__desired_outcomes') }}
