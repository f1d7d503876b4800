-- The measures of int_revenue__account_months summed by slice, a row for every month since the first
-- paid start.
{%- set measures = [
    "opening_mrr", "new_mrr", "reactivation_mrr", "expansion_mrr", "contraction_mrr", "churned_mrr",
    "fx_mrr", "closing_mrr",
    "opening_accounts", "new_accounts", "reactivated_accounts", "expanded_accounts",
    "contracted_accounts", "churned_accounts", "closing_accounts",
    "voluntary_churned_accounts", "involuntary_churned_accounts", "unknown_reason_churned_accounts",
    "early_churned_accounts", "late_churned_accounts",
    "opening_seats", "removed_seats",
] %}
with alike_months as (
    select
        alike_account_id as account_id,
        period_start,
        {%- for measure in measures %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
    from {{ ref('int_revenue__account_months') }}
    inner join {{ ref('int_accounts__alike') }} using (account_id)
    group by all
),

moved as (
    select
        slice_dimension,
        slice_value,
        period_start,
        {%- for measure in measures %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
    from alike_months
    inner join {{ ref('int_accounts__slices') }} using (account_id)
    group by all
),

-- Accounts with a paid life that began and ended between two closes: such a life is in no bridge.
same_period as (
    select
        slice_dimension,
        slice_value,
        months.period_start,
        count(distinct account_id) as same_period_churned_accounts,
    from {{ ref('int_revenue__account_spells') }} as spells
    inner join {{ ref('int_accounts__slices') }} using (account_id)
    inner join {{ ref('int_quality__months') }} as months
        on spells.started_at >= months.open_at and spells.ended_at < months.close_at
    group by all
),

grid as (
    select
        slices.slice_dimension,
        slices.slice_value,
        months.period_start,
        months.period_end,
        months.is_complete_period,
    from (select distinct slice_dimension, slice_value from {{ ref('int_accounts__slices') }}) as slices
    cross join {{ ref('int_quality__months') }} as months
    where months.period_end > (
        select {{ local_date('min(period_from)') }} from {{ ref('int_revenue__account_periods') }}
    )
)

select
    slice_dimension,
    slice_value,
    period_start,
    period_end,
    {%- for measure in measures %}
    coalesce({{ measure }}, 0)
    {%- if measure.endswith("_mrr") %}::decimal(38, 6){% else %}::bigint{% endif %} as {{ measure }},
    {%- endfor %}
    coalesce(same_period_churned_accounts, 0) as same_period_churned_accounts,
    lag(coalesce(moved.closing_mrr, 0), 12) over by_slice as closing_mrr_12_months_ago,
    is_complete_period,
from grid
left join moved using (slice_dimension, slice_value, period_start)
left join same_period using (slice_dimension, slice_value, period_start)
window by_slice as (partition by slice_dimension, slice_value order by period_start)
