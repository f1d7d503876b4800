{#- Bounds of a 95 % interval; null without cases. Wilson's for a share stays within 0 and 1 and is sound
    for few cases; the normal one for a mean needs two cases to know how they spread. `sign` is + or -. -#}
{% macro wilson_bound(successes, cases, sign) -%}
    if({{ cases }} > 0, greatest(least(
        ({{ successes }} + 1.9208 {{ sign }} 1.96 * sqrt({{ successes }} * ({{ cases }} - {{ successes }}) / nullif({{ cases }}, 0) + 0.9604))
        / (nullif({{ cases }}, 0) + 3.8416),
        1
    ), 0), null)
{%- endmacro %}


{% macro normal_bound(mean, deviation, cases, sign) -%}
    {{ mean }} {{ sign }} 1.96 * {{ deviation }} / sqrt(nullif({{ cases }}, 0))
{%- endmacro %}
