{#- Whether a subscription row never counts: canceled, and no export says since when. -#}
{% macro is_void() -%}
    (status = 'canceled' and ended_at is null)
{%- endmacro %}


{#- MRR of a subscription row on a day: its own under a constant rate, else at the rate of that month's
    close. -#}
{% macro mrr_on(row, day) -%}
    {%- if var("fx_policy") == "period_end" -%}
    cast({{ row }}.mrr_original * (
        select rates.base_per_unit from {{ ref("int_revenue__fx_rates") }} as rates
        where
            rates.currency = {{ row }}.currency
            and last_day({{ day }}) >= rates.valid_from
            and last_day({{ day }}) < rates.valid_to
    ) as decimal(38, 6))
    {%- else -%}
    cast({{ row }}.mrr as decimal(38, 6))
    {%- endif -%}
{%- endmacro %}
