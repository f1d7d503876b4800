with months as (
    select
        *,
        lag(closing_mrr, 12) over (
            partition by slice_dimension, slice_value order by period_start
        ) as closing_mrr_12_months_ago,
    from {{ ref('int_revenue__slice_months') }}
)

select
    slice_dimension,
    slice_value,
    opening_mrr,
    fx_mrr,
    closing_mrr,
    closing_mrr_12_months_ago,
    closing_accounts,
    {{ metric('installed_base_growth_rate') }} as installed_base_growth_rate,
    {{ metric('total_growth_rate') }} as total_growth_rate,
    power({{ metric('growth_factor_12') }}, 1 / 12) - 1 as cmgr_12,
    cast({{ metric('arpa') }} as decimal(38, 6)) as arpa,
    if(opening_mrr = 0, 'no_opening_mrr', null) as reason_null,
    is_complete_period,
    period_start,
    period_end,
from months
