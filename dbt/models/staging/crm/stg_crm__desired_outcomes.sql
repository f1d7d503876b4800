select
    outcome_id,
    account_id,
    stated_outcome,
    due_date,
    achieved_at,
    evidence,
    {{ major_units('value_minor', "'" ~ var('base_currency') ~ "'") }} as value,
    landing_date,
from {{ source('crm', 'desired_outcomes') }}
where {{ system_is_on('crm') }}
