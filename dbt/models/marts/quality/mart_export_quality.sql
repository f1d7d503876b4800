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
    date_diff('day', lag(days.landing_date) over by_export, days.landing_date) - 1 as missing_days_before,
    if(
        lead(days.landing_date) over by_export is null,
        greatest(date_diff('day', days.landing_date, {{ as_of_date() }}), 0),
        null
    ) as days_behind,
from declared
left join {{ ref('int_quality__export_days') }} as days using (system, export)
window by_export as (partition by declared.system, declared.export order by days.landing_date)
