select
    slice_dimension,
    slice_value,
    closing_mrr,
    closing_accounts,
    trial_mrr,
    contracted_mrr,
    scheduled_loss_mrr,
    committed_mrr,
    cast({{ metric('arpa') }} as decimal(38, 6)) as arpa,
    gross_margin_rate as gross_margin,
    if(churn_months_6m = 6, {{ metric('churn_6m') }}, null) as churn_6m,
    cast(if(churn_months_6m = 6, {{ metric('ltv_simple') }}, null) as decimal(38, 6)) as ltv_simple,
    cast({{ metric('ltv_restricted') }} as decimal(38, 6)) as ltv_restricted,
    case
        when closing_accounts = 0 then 'no_closing_accounts'
        when churn_months_6m < 6 then 'insufficient_history'
        when churn_rates_6m = 0 then 'no_churn'
    end as ltv_simple_reason_null,
    restricted_months as lifetime_months_restricted,
    observed_months,
    -- No export tells what is spent to win customers.
    cast(null as double) as cac,
    cast(null as double) as payback_months,
    'no_spend' as cac_reason_null,
    closing_accounts < {{ var("min_cohort_customers") }} as is_small_sample,
    is_complete_period,
    period_start,
    period_end,
from {{ ref('int_portfolio__slice_months') }}
