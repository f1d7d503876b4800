select
    slice_value as fit_class,
    classes.recommended_treatment,
    closing_accounts,
    closing_mrr,
    cohort_accounts,
    retained_accounts,
    opening_mrr,
    closing_mrr_of_cohort,
    tickets,
    exposure_days,
    touches,
    touched_accounts,
    {{ metric('fit_share_of_accounts') }} as share_of_accounts,
    {{ metric('fit_share_of_mrr') }} as share_of_mrr,
    {{ metric('nrr') }} as nrr,
    {{ metric('logo_retention_rate') }} as logo_retention_rate,
    {{ metric('ticket_rate') }} as ticket_rate,
    {{ metric('touches_per_paying_account') }} as touches_per_paying_account,
    case
        when is_too_early then 'insufficient_history'
        when cohort_accounts = 0 then 'no_opening_accounts'
    end as retention_reason_null,
    cohort_accounts < {{ var("min_cohort_customers") }} as is_small_sample,
    is_complete_period,
    period_start,
    period_end,
from {{ ref('int_accounts__fit_slice_months') }} as months
inner join {{ ref('fit_classes') }} as classes on months.slice_value = classes.fit_class
where slice_dimension = 'fit_class'
