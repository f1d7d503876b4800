-- The cohorts of int_retention__account_windows summed by slice, a row for every month since the first
-- paid start and every window, also one that reaches back before it.
{%- set measures = {
    "cohort_accounts": "bigint", "retained_accounts": "bigint",
    "opening_mrr": "decimal(38, 6)", "closing_mrr_of_cohort": "decimal(38, 6)",
    "reactivated_mrr_of_cohort": "decimal(38, 6)", "retained_mrr": "decimal(38, 6)",
    "reactivated_retained_mrr": "decimal(38, 6)", "reactivated_accounts_of_cohort": "bigint",
    "up_for_renewal_mrr": "decimal(38, 6)", "renewed_mrr": "decimal(38, 6)",
    "retained_not_due_mrr": "decimal(38, 6)", "expansion_mrr": "decimal(38, 6)",
} %}
with cohorts as (
    select
        slice_dimension,
        slice_value,
        period_start,
        window_months,
        count(*) as cohort_accounts,
        {%- for measure in measures if measure != "cohort_accounts" %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
    from {{ ref('int_retention__account_windows') }}
    inner join {{ ref('int_accounts__slices') }} using (account_id)
    group by all
),

grid as (
    select
        slice_dimension,
        slice_value,
        unnest([1, 3, 12]) as window_months,
        is_complete_period,
        period_start,
        period_end,
        min(period_start) over () as first_month,
    from {{ ref('int_revenue__slice_months') }}
)

select
    slice_dimension,
    slice_value,
    window_months,
    {%- for measure, type in measures.items() %}
    coalesce({{ measure }}, 0)::{{ type }} as {{ measure }},
    {%- endfor %}
    period_start - to_months(window_months) < first_month as is_too_early,
    is_complete_period,
    period_start,
    period_end,
from grid
left join cohorts using (slice_dimension, slice_value, period_start, window_months)
