with declared as (
    {% for source in graph.sources.values() | sort(attribute="unique_id") if execute and source.source_name in var("systems") -%}
    select '{{ source.source_name }}' as system, '{{ source.name }}' as export
    {{ "union all" if not loop.last }}
    {% else -%}
    select null::varchar as system, null::varchar as export
    where false
    {% endfor %}
)

select
    declared.system,
    declared.export,
    days.landing_date,
    coalesce(days.status, 'never_arrived') as status,
    days.error,
    coalesce(days.files, 0) as files,
    coalesce(days.rows_in, 0) as rows_in,
    coalesce(days.rows_accepted, 0) as rows_accepted,
    coalesce(days.rows_rejected, 0) as rows_rejected,
    coalesce(days.rows_superseded, 0) as rows_superseded,
    coalesce(days.drift, []) as new_columns,
from declared
left join {{ ref('int_quality__export_days') }} as days using (system, export)
