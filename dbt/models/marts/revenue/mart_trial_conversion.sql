select
    started_trials as started,
    running_trials as running,
    matured_trials as matured,
    converted_trials as converted,
    failed_first_payment_trials as failed_first_payment,
    {{ metric('trial_conversion_rate') }} as conversion_rate,
    {{ metric('trial_conversion_rate_30') }} as rate_30,
    {{ metric('trial_conversion_rate_60') }} as rate_60,
    {{ metric('trial_conversion_rate_90') }} as rate_90,
    case
        when started_trials = 0 then 'no_trials'
        when rated_trials = 0 then 'too_early'
    end as reason_null,
    rated_trials < {{ var("min_cohort_customers") }} as is_small_sample,
    rated_trials > 0 as is_mature,
    is_complete_period,
    period_start as cohort_start,
    period_start,
    period_end,
from {{ ref('int_revenue__trial_slice_months') }}
where slice_dimension = 'total'
