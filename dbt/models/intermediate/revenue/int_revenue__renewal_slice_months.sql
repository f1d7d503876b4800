-- What came up for renewal and what became of it, summed by slice from the first month in which anything did.
{%- set amounts = ["exposed_mrr", "renewed_mrr", "renewed_capped", "lost_mrr", "open_mrr"] %}
{%- set counts = ["exposed_accounts", "renewed_accounts", "lost_accounts", "open_accounts"] %}
-- An account is renewed if any contract of the month is, else open if any is.
with accounts as (
    select
        account_id,
        period_start,
        {%- for amount in amounts %}
        sum({{ amount }}) as {{ amount }},
        {%- endfor %}
        1 as exposed_accounts,
        bool_or(outcome = 'renewed')::integer as renewed_accounts,
        (bool_or(outcome = 'open') and not bool_or(outcome = 'renewed'))::integer as open_accounts,
        bool_and(outcome = 'lost')::integer as lost_accounts,
    from {{ ref('int_revenue__contracts') }}
    group by all
),

sums as (
    select
        slice_dimension,
        slice_value,
        period_start,
        {%- for measure in amounts + counts %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
    from accounts
    inner join {{ ref('int_accounts__slices') }} using (account_id)
    group by all
)

select
    slice_dimension,
    slice_value,
    {%- for amount in amounts %}
    coalesce({{ amount }}, 0)::decimal(38, 6) as {{ amount }},
    {%- endfor %}
    {%- for count in counts %}
    coalesce({{ count }}, 0)::bigint as {{ count }},
    {%- endfor %}
    months.is_complete_period,
    months.period_start,
    months.period_end,
from {{ ref('int_revenue__slice_months') }} as months
left join sums using (slice_dimension, slice_value, period_start)
where months.period_start >= (select min(period_start) from {{ ref('int_revenue__contracts') }})
