select
    user_id,
    account_id,
    role,
    is_champion,
    created_at,
    deactivated_at,
    landing_date,
from {{ source('crm', 'users') }}
where {{ system_is_on('crm') }}
