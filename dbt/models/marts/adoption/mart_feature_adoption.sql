with features as (
    select
        months.*,
        dims.is_in_catalog,
        coalesce(dims.is_core, false) as is_core,
        dims.retired_on < closes.close_date as is_retired,
        closes.close_date - dims.released_on < {{ var("feature_settle_days") }} as is_young,
    from {{ ref('int_adoption__feature_months') }} as months
    inner join {{ ref('int_quality__months') }} as closes on months.period_start = closes.period_start
    inner join {{ ref('dim_features') }} as dims on months.slice_value = dims.feature
),

rated as (
    select
        *,
        {{ metric('feature_tried_rate') }} as tried_rate,
        {{ metric('feature_adoption_rate') }} as adoption_rate,
        {{ metric('feature_keep_rate') }} as keep_rate,
        tried_rate >= {{ var("feature_tried_from") }} as is_tried,
        coalesce(keep_rate >= {{ var("feature_keep_from") }}, false) as is_kept,
        coalesce(entitled_accounts, 0) < {{ var("min_cohort_customers") }} as is_small_sample,
    from features
)

select
    slice_value as feature,
    case
        when is_retired then 'retired'
        when entitled_accounts is null then 'unknown'
        when is_young then 'too_early'
        when is_small_sample then 'too_few_accounts'
        when is_tried and is_kept then 'develop'
        when is_tried or is_kept or is_core then 'educate'
        else 'remove'
    end as demand_class,
    entitled_accounts,
    tried,
    adopted,
    dropped,
    never_tried,
    ever_tried,
    used_accounts,
    not_entitled,
    not_entitled_paying,
    unknown_entitlement,
    tried_rate,
    adoption_rate,
    keep_rate,
    case
        when not is_in_catalog then 'not_in_catalog'
        when entitled_accounts is null then 'no_entitlement'
        when entitled_accounts = 0 then 'no_entitled_accounts'
    end as reason_null,
    is_in_catalog,
    is_core,
    is_small_sample,
    is_complete_period,
    period_start,
    period_end,
from rated
