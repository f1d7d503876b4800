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
    {{ month_of('occurred_date') }} as period_start,
from {{ ref('int_revenue__movements') }}
