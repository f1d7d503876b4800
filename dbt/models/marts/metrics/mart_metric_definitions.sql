{%- set fields = [
    "name", "entry", "description", "numerator", "denominator", "measures", "where", "sample", "unit",
    "direction", "grain", "owner", "if_empty", "definition_version",
] %}
{%- set lists = ["reasons", "slices", "policies", "seeds", "exports"] -%}
-- The registry is no table: it is written out here from dbt_project.yml and from dbt's own graph.
with definitions as (
    select *
    from (
        values
        {%- for metric in defined_metrics() %}
        (
            {%- for field in fields %}{{ text(metric[field]) }}, {% endfor %}
            {%- for list in lists %}{{ text(metric[list] | join("; " if list in ["reasons", "policies"] else ", ")) }}{{ ", " if not loop.last }}{% endfor -%}
        )
        {{- "," if not loop.last }}
        {%- else %}
        ({{ (["null"] * (fields + lists) | length) | join(", ") }})
        {%- endfor %}
    ) as registry ("{{ (fields + lists) | join('", "') }}")
)

select
    name as metric_name,
    entry,
    description,
    numerator,
    denominator,
    measures as measures_model,
    "where" as condition,
    sample,
    unit,
    direction,
    grain,
    slices,
    owner,
    if_empty as reason_if_empty,
    nullif(reasons, '') as reasons,
    policies,
    seeds,
    exports,
    definition_version,
    grain in ('week', 'month') as is_in_mart_metrics,
from definitions
