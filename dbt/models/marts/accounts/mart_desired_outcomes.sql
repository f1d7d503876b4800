select
    outcome_id,
    account_id,
    {{ published_text("stated_outcome") }} as stated_outcome,
    status,
    {{ published_text("evidence") }} as evidence,
    value,
    days_after_due,
    achieved_at,
    due_date,
from {{ ref('int_accounts__desired_outcomes') }}
