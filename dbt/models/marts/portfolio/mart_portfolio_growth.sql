select
    slice_dimension,
    slice_value,
    opening_mrr,
    fx_mrr,
    closing_mrr,
    closing_mrr_12_months_ago,
    closing_accounts,
    largest_10_mrr,
    {{ metric('installed_base_growth_rate') }} as installed_base_growth_rate,
    {{ metric('total_growth_rate') }} as total_growth_rate,
    power({{ metric('growth_factor_12') }}, 1 / 12) - 1 as cmgr_12,
    cast({{ metric('arpa') }} as decimal(38, 6)) as arpa,
    {{ metric('revenue_concentration') }} as revenue_concentration,
    {{ metric_reason('total_growth_rate') }} as reason_null,
    {{ metric_reason('growth_factor_12') }} as cmgr_12_reason_null,
    {{ metric_reason('arpa') }} as arpa_reason_null,
    {{ metric_reason('revenue_concentration') }} as revenue_concentration_reason_null,
    is_complete_period,
    period_start,
    period_end,
from {{ ref('int_revenue__slice_months') }}
inner join (
    select slice_dimension, slice_value, period_start, largest_10_mrr,
    from {{ ref('int_portfolio__slice_months') }}
) using (slice_dimension, slice_value, period_start)
