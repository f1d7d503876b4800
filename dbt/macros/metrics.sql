{#- The one division of the project. An empty denominator gives null, never zero or infinity. -#}
{% macro ratio(numerator, denominator) -%}
    cast({{ numerator }} as double) / nullif(cast({{ denominator }} as double), 0)
{%- endmacro %}


{#- A registry entry evaluated over the measures in scope; one without a denominator is its numerator. -#}
{% macro metric(name) -%}
    {%- set entry = var("metrics")[name] -%}
    {%- if entry.denominator -%}
    {{ ratio(entry.numerator, entry.denominator) }}
    {%- else -%}
    cast({{ entry.numerator }} as double)
    {%- endif -%}
{%- endmacro %}


{#- The same over int_metrics__slice_periods, where every entry's parts have these names. -#}
{% macro metric_value(numerator = "numerator", denominator = "denominator", reason_null = "reason_null") -%}
    case
        when {{ reason_null }} is not null then null
        when {{ denominator }} is null then cast({{ numerator }} as double)
        else {{ ratio(numerator, denominator) }}
    end
{%- endmacro %}


{#- The registry with its defaults filled in, and an entry with windows as one metric for each: a list of
    mappings with the fields of dbt_project.yml, name, and `where` as SQL or none. -#}
{% macro registered_metrics() %}
    {%- set metrics = [] -%}
    {%- for entry_name, entry in var("metrics").items() -%}
        {%- set filled = dict(var("metric_defaults"), entry=entry_name, **entry) -%}
        {%- for window in entry.get("windows", [none]) -%}
            {%- set conditions = [
                entry.get("where"),
                "window_months = " ~ window if window else none,
                "slice_dimension in ('" ~ entry.slices | join("', '") ~ "')" if entry.slices else none,
            ] | select | list -%}
            {%- do metrics.append(dict(
                filled,
                name=entry_name ~ ("_" ~ window ~ "m" if window else ""),
                where=conditions | join(" and ") if conditions else none,
            )) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(metrics) }}
{% endmacro %}


{#- Metrics that mart_metrics evaluates, those whose grain is a calendar period, by their measures model:
    one scan serves them all. -#}
{% macro metrics_by_measures() %}
    {%- set by_model = {} -%}
    {%- for metric in registered_metrics() if metric.grain in ["week", "month"] -%}
        {%- do by_model.setdefault(metric.measures, []).append(metric) -%}
    {%- endfor -%}
    {{ return(by_model) }}
{% endmacro %}
