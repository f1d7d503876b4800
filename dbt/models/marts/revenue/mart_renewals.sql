select
    slice_dimension,
    slice_value,
    exposed_mrr,
    renewed_mrr,
    renewed_capped,
    lost_mrr,
    open_mrr,
    exposed_accounts,
    renewed_accounts,
    lost_accounts,
    open_accounts,
    if(exposed_mrr > open_mrr, {{ metric('renewal_rate') }}, null) as renewal_rate,
    {{ metric('best_case_renewal_rate') }} as best_case_rate,
    if(exposed_accounts > open_accounts, {{ metric('account_renewal_rate') }}, null) as account_renewal_rate,
    case
        when exposed_mrr = 0 then 'nothing_to_renew'
        when exposed_mrr = open_mrr then 'nothing_decided'
    end as reason_null,
    exposed_accounts < {{ var("min_cohort_customers") }} as is_small_sample,
    is_complete_period,
    period_start,
    period_end,
from {{ ref('int_revenue__renewal_slice_months') }}
