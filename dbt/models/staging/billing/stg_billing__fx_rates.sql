select
    rate_date,
    currency,
    base_per_unit,
    landing_date,
from {{ source('billing', 'fx_rates') }}
where {{ system_is_on('billing') }}
