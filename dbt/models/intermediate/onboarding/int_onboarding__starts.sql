-- Onboarding starts with the contract, else with the sign-up; the first churn closes it.
with first_churns as (
    select account_id, min(ended_at) as churned_at
    from {{ ref('int_revenue__account_spells') }}
    group by all
),

starts as (
    select
        account_id,
        coalesce({{ day_start('contract_start_date') }}, signed_up_at) as started_at,
        coalesce(contract_start_date, {{ local_date('signed_up_at') }}) as started_date,
    from {{ ref('int_accounts__accounts') }}
)

select
    starts.*,
    churned_at,
    {{ local_date('churned_at') }} as churned_date,
from starts
left join first_churns using (account_id)
where started_date <= {{ as_of_date() }}
