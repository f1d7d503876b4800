select
    invoice_id,
    account_id,
    subscription_id,
    issued_at,
    due_at,
    paid_at,
    {{ major_units('amount_minor', 'currency') }} as amount,
    {{ major_units('tax_minor', 'currency') }} as tax,
    currency,
    status,
    updated_at,
    landing_date,
from {{ source('billing', 'invoices') }}
where {{ system_is_on('billing') }}
