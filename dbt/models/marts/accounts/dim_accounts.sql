with slices as (
    pivot {{ ref('int_accounts__slices') }}
    on slice_dimension in ('segment', 'plan_tier', 'country', 'acquisition_channel')
    using any_value(slice_value)
    group by account_id
),

spells as (
    select
        account_id,
        min(started_at) as first_paid_at,
        max(ended_at) as last_churned_at,
    from {{ ref('int_revenue__account_spells') }}
    group by all
),

latest as (
    select account_id, closing_mrr, closing_accounts,
    from {{ ref('int_revenue__account_months') }}
    where period_start = {{ as_of_month() }}
)

select
    slices.account_id,
    accounts.parent_account_id,
    slices.segment,
    slices.plan_tier,
    slices.country,
    slices.acquisition_channel,
    fit.fit_class,
    accounts.industry,
    accounts.use_case,
    accounts.employee_count,
    coalesce(latest.closing_mrr, 0)::decimal(38, 6) as mrr,
    coalesce(latest.closing_accounts, 0) = 1 as is_paying,
    accounts.account_id is not null as is_in_accounts_export,
    accounts.signed_up_at,
    spells.first_paid_at,
    if(coalesce(latest.closing_accounts, 0) = 0, spells.last_churned_at, null) as churned_at,
    accounts.contract_start_date,
from slices
left join {{ ref('int_accounts__fit') }} as fit using (account_id)
left join {{ ref('int_accounts__accounts') }} as accounts using (account_id)
left join spells using (account_id)
left join latest using (account_id)
