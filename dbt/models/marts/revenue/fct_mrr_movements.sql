select
    account_id,
    spell_number,
    movement_type,
    cause,
    amount,
    days_away,
    ending,
    reason_code,
    occurred_at,
    occurred_date,
    cast(date_trunc('month', occurred_date) as date) as period_start,
from {{ ref('int_revenue__movements') }}
