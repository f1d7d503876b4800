select
    account_id,
    csm_owner,
    assigned_at,
    ended_at,
    landing_date,
from {{ source('people', 'csm_assignments') }}
where {{ system_is_on('people') }}
