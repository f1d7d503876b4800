{#- The one division of the project: a registry entry evaluated over the measures in scope. An empty
    denominator gives null, never zero or infinity. -#}
{% macro metric(name) -%}
    {%- set entry = var("metrics")[name] -%}
    cast({{ entry.numerator }} as double) / nullif(cast({{ entry.denominator }} as double), 0)
{%- endmacro %}
