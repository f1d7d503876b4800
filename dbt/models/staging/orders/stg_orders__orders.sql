select
    order_id,
    account_id,
    ordered_at,
    {{ major_units('amount_minor', 'currency') }} as amount,
    currency,
    status,
    updated_at,
    landing_date,
from {{ source('orders', 'orders') }}
where {{ system_is_on('orders') }}
