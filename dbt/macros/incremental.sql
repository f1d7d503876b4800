{#- What decides over the rows that `sql` yields besides its inputs: its own text, with every policy and
    macro in it rendered, and the code of every model and seed that feeds it. Rows of an incremental
    model that were computed under another version are computed again. -#}
{% macro code_version(sql) -%}
    {%- set names = [model.unique_id] -%}
    {%- set checksums = [] -%}
    {%- if execute -%}
        {%- for name in names if name in graph.nodes -%}
            {%- do checksums.append(graph.nodes[name].checksum.checksum) -%}
            {%- for parent in graph.nodes[name].depends_on.nodes if parent not in names -%}
                {%- do names.append(parent) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{- local_md5(sql ~ checksums | sort | join) -}}
{%- endmacro %}


{#- Those of `columns` that more than one row of `relation` has, and how many have them. -#}
{% macro repeated_rows(relation, columns, condition = none) %}
    select {{ columns | join(", ") }}, count(*) as rows_of_one_grain
    from {{ relation }}
    {%- if condition %}
    where {{ condition }}
    {%- endif %}
    group by all
    having count(*) > 1
{% endmacro %}


{#- A model that keeps months of use: the rows that `rollup`, common table expressions up to one named
    rolled_up, computes of those months (`stale`) that it does not have yet under the content key that they
    have now. That is a hash of a month's close, of every day of use that a figure of it may look at, and of
    the model's own code. Those days reach from `days_back` before the month (a select of one number) to
    `days_ahead` after it. -#}
{% macro months_kept(rollup, days_back, days_ahead = 0) %}
with kept_months as (
    select
        months.period_start,
        months.close_date,
        months.period_start - reach.days as reach_from,
        months.period_end + {{ days_ahead }} as reach_to,
        md5(
            '{{ code_version(rollup) }}/' || months.close_date || '/'
            || coalesce(string_agg(dates.occurred_date || dates.content_key || dates.version order by dates.occurred_date), '')
        ) as content_key,
    from {{ ref('int_quality__months') }} as months
    cross join ({{ days_back }}) as reach(days)
    left join {{ ref('int_usage__rollup') }} as dates
        on
            dates.grain = 'date'
            and dates.occurred_date >= months.period_start - reach.days
            and dates.occurred_date < months.period_end + {{ days_ahead }}
    group by months.period_start, months.close_date, months.period_end, reach.days
),

stale as (
    select *
    from kept_months
    {%- if is_incremental() %}
    anti join (select period_start, content_key from {{ this }} where grain = 'month') as known
        using (period_start, content_key)
    {%- endif %}
),
{{ rollup }}

-- A month is known, even where nothing of it counts.
select * from rolled_up
semi join stale using (period_start)
union all by name
select 'month' as grain, period_start, content_key from stale
{% endmacro %}


{#- Whether a day of use is one that a stale month may look at. Asked by a list of days, which DuckDB answers
    a second sooner than the same by its bounds (50 million events, one stale month). -#}
{% macro is_within_reach() -%}
    occurred_date in (select cast(unnest(range(reach_from, reach_to, interval 1 day)) as date) from stale)
{%- endmacro %}
