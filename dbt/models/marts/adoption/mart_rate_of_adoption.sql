select
    slice_dimension,
    slice_value,
    accounts,
    eligible,
    adopted,
    unknown,
    not_eligible,
    {{ metric('rate_of_adoption') }} as rate,
    {{ metric('adoption_coverage_rate') }} as coverage,
    {{ metric('adoption_frequency') }} as frequency,
    {{ metric('adoption_breadth') }} as breadth,
    {{ metric('adoption_depth') }} as depth,
    {{ metric('key_action_session_rate') }} as key_action_session_rate,
    eligible_now,
    adopted_now,
    unknown_now,
    not_eligible_now,
    {{ metric('rate_of_adoption_now') }} as rate_now,
    case
        when eligible > 0 then null
        when unknown > 0 then 'unknown'
        else 'no_eligible_accounts'
    end as reason_null,
    eligible < {{ var("min_cohort_customers") }} as is_small_sample,
    is_complete_period,
    period_start,
    period_end,
from {{ ref('int_adoption__slice_months') }}
