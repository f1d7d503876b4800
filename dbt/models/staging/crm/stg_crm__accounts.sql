select
    account_id,
    account_name,
    parent_account_id,
    segment,
    industry,
    country,
    employee_count,
    csm_owner,
    signed_up_at,
    contract_start_date,
    acquisition_channel,
    use_case,
    landing_date,
from {{ source('crm', 'accounts') }}
where {{ system_is_on('crm') }}
