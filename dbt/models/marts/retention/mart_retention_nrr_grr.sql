select
    slice_dimension,
    slice_value,
    window_months,
    cohort_accounts,
    retained_accounts,
    opening_mrr,
    closing_mrr_of_cohort,
    reactivated_mrr_of_cohort,
    retained_mrr,
    up_for_renewal_mrr,
    renewed_mrr,
    retained_not_due_mrr,
    expansion_mrr,
    {{ metric('nrr') }} as nrr,
    {{ metric('nrr_without_reactivation') }} as nrr_without_reactivation,
    {{ metric('grr') }} as grr,
    {{ metric('nrr_renewed_share') }} as renewed_share,
    {{ metric('nrr_retained_share') }} as retained_share,
    {{ metric('nrr_expansion_share') }} as expansion_share,
    {{ metric('logo_retention_rate') }} as logo_retention_rate,
    -- The churn of the window restated for a month and for a year, as if it were the same in each month.
    1 - power(logo_retention_rate, 1 / window_months) as monthly_logo_churn_rate,
    1 - power(logo_retention_rate, 12 / window_months) as annual_logo_churn_rate,
    case
        when is_too_early then 'insufficient_history'
        when opening_mrr = 0 then 'no_opening_mrr'
    end as reason_null,
    cohort_accounts < {{ var("min_cohort_customers") }} as is_small_sample,
    is_complete_period,
    period_start,
    period_end,
from {{ ref('int_retention__slice_windows') }}
