-- What makes up an account's MRR at a close. revalued_mrr is the same at the rate of the next close.
with candidates as (
    -- Every month that a period touches: a join by month, where one by time would compare all with all.
    select
        *,
        unnest(range(
            {{ month_number(local_date('period_from')) }}, {{ month_number(local_date('period_to')) }} + 1
        )) as month_number,
    from {{ ref('int_revenue__account_periods') }}
)

select
    periods.account_id,
    periods.subscription_id,
    periods.started_at,
    coalesce(periods.plan_tier, 'unknown') as plan_tier,
    periods.term_end_date,
    {% if var("fx_policy") == "period_end" -%}
    cast(periods.mrr_original * closing.base_per_unit as decimal(38, 6)) as mrr,
    cast(periods.mrr_original * following.base_per_unit as decimal(38, 6)) as revalued_mrr,
    {%- else -%}
    periods.mrr,
    periods.mrr as revalued_mrr,
    {%- endif %}
    periods.seats,
    months.period_start,
from candidates as periods
inner join {{ ref('int_quality__months') }} as months
    on
        periods.month_number = {{ month_number('months.period_start') }}
        and periods.period_from < months.close_at
        and periods.period_to >= months.close_at
{% if var("fx_policy") == "period_end" -%}
{% for rate, month in [("closing", 0), ("following", 1)] -%}
inner join {{ ref('int_revenue__fx_rates') }} as {{ rate }}
    on
        {{ rate }}.currency = periods.currency
        and months.period_end + interval {{ month }} month - interval 1 day >= {{ rate }}.valid_from
        and months.period_end + interval {{ month }} month - interval 1 day < {{ rate }}.valid_to
{% endfor -%}
{% endif %}
