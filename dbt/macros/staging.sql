{% macro system_is_on(system) -%}
    {{ "true" if system in var("systems") else "false" }}
{%- endmacro %}


{#- Minor units of a currency as exact decimals of its major unit; null beyond what they hold. ISO 4217 gives most currencies two
    decimals; those listed have none or three. -#}
{% macro major_units(amount_minor, currency) -%}
    cast(
        try_cast({{ amount_minor }} as decimal(35, 0)) * case
            when {{ currency }} in ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF') then 1.000
            when {{ currency }} in ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') then 0.001
            else 0.010
        end
        as decimal(38, 3)
    )
{%- endmacro %}


{#- The end of a period as an excluded instant: a source whose contract declares inclusive end dates
    means the whole of that day. -#}
{% macro half_open_end(column, system, export) -%}
    {%- set contract = graph.sources["source." ~ project_name ~ "." ~ system ~ "." ~ export].config.meta if execute else {} -%}
    {%- if contract.get("end_date_is_inclusive") -%}
    date_trunc('day', cast({{ column }} as timestamp)) + interval 1 day
    {%- else -%}
    cast({{ column }} as timestamp)
    {%- endif -%}
{%- endmacro %}
