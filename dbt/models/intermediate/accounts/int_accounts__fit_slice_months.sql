{%- set measures = {
    "closing_accounts": "bigint", "closing_mrr": "decimal(38, 6)",
    "cohort_accounts": "bigint", "retained_accounts": "bigint",
    "opening_mrr": "decimal(38, 6)", "closing_mrr_of_cohort": "decimal(38, 6)",
} %}
{%- set known_measures = ["tickets", "exposure_days", "touches", "touched_accounts"] %}
-- What became of the accounts of each fit class, and of all of them; the cohort is who paid twelve months
-- before. What no export tells is null.
with facts as (
    select account_id, period_start, closing_accounts, closing_mrr,
    from {{ ref('int_revenue__account_months') }}
    union all by name
    select
        account_id,
        period_start,
        1 as cohort_accounts,
        retained_accounts,
        opening_mrr,
        closing_mrr_of_cohort,
    from {{ ref('int_retention__account_windows') }}
    where window_months = 12
    union all by name
    select account_id, period_start, touches, 1 as touched_accounts,
    from {{ ref('int_contacts__account_months') }}
    where paying_accounts = 1
    union all by name
    select account_id, period_start, tickets, exposure_days,
    from {{ ref('int_support__account_months') }}
),

classes as (
    select
        account_id,
        unnest(['total', 'fit_class']) as slice_dimension,
        unnest(['all', fit_class]) as slice_value,
    from {{ ref('int_accounts__fit') }}
),

sums as (
    select
        slice_dimension,
        slice_value,
        period_start,
        {%- for measure in measures.keys() | list + known_measures %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
    from facts
    inner join classes using (account_id)
    group by all
),

grid as (
    select
        slices.slice_dimension,
        slices.slice_value,
        months.is_complete_period,
        months.period_start,
        months.period_end,
        min(months.period_start) over () as first_month,
    from (
        select 'fit_class' as slice_dimension, fit_class as slice_value from {{ ref('fit_classes') }}
        union all
        select 'total', 'all'
    ) as slices
    cross join {{ ref('int_revenue__slice_months') }} as months
    where months.slice_dimension = 'total'
)

select
    slice_dimension,
    slice_value,
    {%- for measure, type in measures.items() %}
    coalesce({{ measure }}, 0)::{{ type }} as {{ measure }},
    {%- endfor %}
    {%- for measure in known_measures %}
    {{ measure }}::bigint as {{ measure }},
    {%- endfor %}
    sum(closing_accounts) filter (slice_dimension = 'total') over by_month as closing_accounts_of_all,
    sum(closing_mrr) filter (slice_dimension = 'total') over by_month as closing_mrr_of_all,
    period_start - to_months(12) < first_month as is_too_early,
    is_complete_period,
    period_start,
    period_end,
from grid
left join sums using (slice_dimension, slice_value, period_start)
window by_month as (partition by period_start)
