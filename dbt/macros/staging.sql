{% macro system_is_on(system) -%}
    {{ "true" if system in var("systems") else "false" }}
{%- endmacro %}


{#- Minor units of a currency as exact decimals of its major unit; null beyond what they hold. ISO 4217 gives most currencies two
    decimals; those listed have none, three or four. -#}
{% macro major_units(amount_minor, currency) -%}
    cast(
        try_cast({{ amount_minor }} as decimal(34, 0)) * case
            when {{ currency }} in ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF') then 1.0000
            when {{ currency }} in ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') then 0.0010
            when {{ currency }} in ('CLF', 'UYW') then 0.0001
            else 0.0100
        end
        as decimal(38, 4)
    )
{%- endmacro %}


{#- The end of a period as an excluded instant: a source whose contract declares inclusive end dates
    means the whole of that day; of a timestamp the day in the zone that the contract declares. -#}
{% macro half_open_end(column, system, export) -%}
    {%- set source = graph.sources["source." ~ project_name ~ "." ~ system ~ "." ~ export] if execute else {"config": {"meta": {}}} -%}
    {%- set contract = source.config.meta -%}
    {%- if not contract.get("end_date_is_inclusive") -%}
    cast({{ column }} as timestamp)
    {%- elif source.columns[column].data_type == "date" -%}
    cast({{ column }} + 1 as timestamp)
    {%- else -%}
    {{ next_midnight(column, contract.get("time_zone", "UTC")) }}
    {%- endif -%}
{%- endmacro %}
