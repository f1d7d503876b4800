-- In the columns of stg_crm__accounts; the industry serves as the segment.
select
    account_id,
    account_name,
    cast(null as varchar) as parent_account_id,
    industry as segment,
    industry,
    country,
    cast(null as bigint) as employee_count,
    cast(null as varchar) as csm_owner,
    cast(signup_date as timestamp) as signed_up_at,
    cast(null as date) as contract_start_date,
    referral_source as acquisition_channel,
    cast(null as varchar) as use_case,
    landing_date,
from {{ source('ravenstack', 'accounts') }}
where {{ system_is_on('ravenstack') }}
