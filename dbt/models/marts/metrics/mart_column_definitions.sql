-- The descriptions of the marts' YAML, so that whoever opens a release can see in it what a column means.
with columns as (
    select *
    from (
        values
        {%- set rows = [] %}
        {%- for node in graph.nodes.values() | selectattr("resource_type", "eq", "model") | sort(attribute="name") if execute and node.fqn[1] == "marts" %}
        {%- for column in node.columns.values() %}
        {%- do rows.append([
            text(node.name), loop.index, text(column.name), text(column.description),
            "pii" in (column.config.tags or column.tags), text(node.description),
        ] | join(", ")) %}
        {%- endfor %}
        {%- endfor %}
        {%- for row in rows or ["null, null, null, null, null, null"] %}
        ({{ row }}){{ "," if not loop.last }}
        {%- endfor %}
    ) as documented (mart, position, column_name, description, is_personal_data, mart_description)
),

metrics as (
    select unnest([{% for name in var("metrics") %}'{{ name }}', {% endfor %}]) as metric_name
)

select
    mart,
    column_name,
    description,
    -- The unit stands in round brackets, as in "days that passed (count)".
    nullif(regexp_extract(description, '\((count|fraction|percent|days|hours|minutes|[^()]* per [^()]*|-?\d+ to \d+)\)', 1), '') as unit,
    metric_name,
    mart_description,
    position,
    is_personal_data,
from columns
left join metrics on columns.column_name = metrics.metric_name
