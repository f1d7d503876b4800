{#- The one division of the project. An empty denominator gives null, never zero or infinity. -#}
{% macro ratio(numerator, denominator) -%}
    cast({{ numerator }} as double) / nullif(cast({{ denominator }} as double), 0)
{%- endmacro %}


{#- A registry entry evaluated over the measures in scope; one without a denominator is its numerator. -#}
{% macro metric_value(entry) -%}
    {%- if entry.denominator -%}
    {{ ratio(entry.numerator, entry.denominator) }}
    {%- else -%}
    cast({{ entry.numerator }} as double)
    {%- endif -%}
{%- endmacro %}


{#- Why an entry has no value over the measures in scope: the first of its reasons that holds, else its word for
    an empty denominator, else no_data; null where it has one. -#}
{% macro metric_reason_of(entry) -%}
    case
        {%- for word, condition in (entry.reasons or {}).items() %}
        when {{ condition }} then '{{ word }}'
        {%- endfor %}
        {%- if entry.denominator %}
        when ({{ entry.denominator }}) = 0 then '{{ entry.if_empty }}'
        {%- endif %}
        when ({{ entry.numerator }}) is null{% if entry.denominator %} or ({{ entry.denominator }}) is null{% endif %} then 'no_data'
    end
{%- endmacro %}


{% macro metric(name) -%}
    {%- set entry = var("metrics")[name] -%}
    {%- if entry.reasons -%}
    case when {{ metric_reason(name) }} is null then {{ metric_value(entry) }} end
    {%- else -%}
    {{ metric_value(entry) }}
    {%- endif -%}
{%- endmacro %}


{% macro metric_reason(name) -%}
    {{ metric_reason_of(dict(var("metric_defaults"), **var("metrics")[name])) }}
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
                "slice_dimension in ('" ~ entry.slices | join("', '") ~ "')"
                if entry.slices and filled.grain in ["week", "month"] else none,
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


{#- What a model is computed from, read off the graph: the policies and seeds it depends on, the exports
    behind it of systems that are on, and a fingerprint of its rule, that is of the SQL (without comments and
    layout) and the seeds up to it. Macros are not in the graph, so those that read a policy are named here. -#}
{% macro lineage(model_name) %}
    {%- set policy_of_macro = {
        "local_date": "reporting_timezone",
        "day_start": "reporting_timezone",
        "week_start_of": "week_start",
        "mrr_on": "fx_policy",
        "newest_version": "first_day",
        "published_name": "publish_names",
        "published_text": "publish_comments",
    } -%}
    {%- set queue = ["model." ~ project_name ~ "." ~ model_name] -%}
    {%- set found = {"policies": [], "seeds": [], "exports": [], "rules": []} -%}
    {%- for unique_id in queue if execute -%}
        {%- if unique_id in graph.sources -%}
            {%- set source = graph.sources[unique_id] -%}
            {%- if source.source_name in var("systems") -%}
                {%- do found.exports.append(source.source_name ~ "/" ~ source.name) -%}
            {%- elif source.source_name == "derived" -%}
                {#- What the Polars assets read is not in the graph: it may be any export. -#}
                {%- do queue.extend(graph.sources.keys() | reject("in", queue) | list) -%}
            {%- endif -%}
        {%- else -%}
            {%- set node = graph.nodes[unique_id] -%}
            {%- if node.resource_type == "seed" -%}
                {%- do found.seeds.append(node.name) -%}
                {%- do found.rules.append(node.name ~ node.checksum.checksum) -%}
            {%- else -%}
                {%- set code = modules.re.sub("(?s)\\{#.*?#\\}|--[^\\n]*", "", node.raw_code) -%}
                {%- do found.rules.append(node.name ~ code.split() | join(" ")) -%}
                {%- do found.policies.extend(modules.re.findall("\\bvar\\([\"'](\\w+)[\"']\\)", code)) -%}
                {%- for macro in node.depends_on.macros -%}
                    {%- do found.policies.append(policy_of_macro.get(macro.split(".")[-1])) -%}
                {%- endfor -%}
            {%- endif -%}
            {%- for parent in node.depends_on.nodes if parent not in queue -%}
                {%- do queue.append(parent) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return({
        "policies": found.policies | reject("none") | reject("in", ["systems", "as_of"]) | unique | sort | list,
        "seeds": found.seeds | unique | sort | list,
        "exports": found.exports | unique | sort | list,
        "rule": local_md5(found.rules | sort | join(";")),
    }) }}
{% endmacro %}


{#- Every registered metric with what its measures are computed from: the fields of registered_metrics and
    policies (name = value, those that a number of this metric depends on), seeds, exports as lists, and
    definition_version, which changes whenever the rule does, whatever the policies are. -#}
{% macro defined_metrics() %}
    {%- set lineages = {} -%}
    {%- set defined = [] -%}
    {%- for metric in registered_metrics() if execute -%}
        {%- if metric.measures not in lineages -%}
            {%- do lineages.update({metric.measures: lineage(metric.measures)}) -%}
        {%- endif -%}
        {%- set behind = lineages[metric.measures] -%}
        {%- set policies = [] -%}
        {%- for policy in (behind.policies + ([metric.min_sample] if metric.sample else [])) | unique | sort -%}
            {%- do policies.append(policy ~ " = " ~ (var(policy) if var(policy) is not none else "")) -%}
        {%- endfor -%}
        {%- set reasons = [] -%}
        {%- for word, condition in (metric.reasons or {}).items() -%}
            {%- do reasons.append(word ~ " if " ~ condition) -%}
        {%- endfor -%}
        {%- do defined.append(dict(
            metric,
            reasons=reasons,
            policies=policies,
            seeds=behind.seeds,
            exports=behind.exports,
            definition_version=local_md5([
                metric.numerator, metric.denominator, metric.where, metric.reasons, behind.rule,
            ] | join(";"))[:12],
        )) -%}
    {%- endfor -%}
    {{ return(defined) }}
{% endmacro %}
