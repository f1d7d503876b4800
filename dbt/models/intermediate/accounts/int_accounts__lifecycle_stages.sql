-- Where each account stands on the as-of day; the first stage that fits.
with trials as (
    select distinct account_id
    from {{ ref('int_revenue__subscriptions') }}
    where
        (status = 'trialing' or trial_end_at >= {{ as_of_end() }})
        and started_at < {{ as_of_end() }}
        and coalesce(ended_at, timestamp 'infinity') >= {{ as_of_end() }}
        and not {{ is_void() }}
),

onboardings as (
    select distinct account_id
    from {{ source('derived', 'onboarding_milestones') }}
    where
        is_required
        and status in ('in_progress', 'overdue')
        and started_date > {{ as_of_date() }} - {{ var("onboarding_days") }}
),

payers as (
    select account_id, closing_accounts = 1 as is_paying,
    from {{ ref('int_revenue__account_months') }}
    where period_start = {{ as_of_month() }}
)

select
    accounts.account_id,
    case
        when trials.account_id is not null and not coalesce(payers.is_paying, false) then 'trial'
        when onboardings.account_id is not null then 'onboarding'
        when health.effective_band = 'red' then 'at_risk'
        when payers.is_paying then 'active'
        when account_id in (select account_id from {{ ref('int_revenue__account_spells') }}) then 'churned'
        else 'prospect'
    end as lifecycle_stage,
from (select distinct account_id from {{ ref('int_accounts__slices') }}) as accounts
left join trials using (account_id)
left join onboardings using (account_id)
left join payers using (account_id)
left join (
    select account_id, effective_band,
    from {{ ref('int_health__account_months') }}
    where period_start = {{ as_of_month() }}
) as health using (account_id)
