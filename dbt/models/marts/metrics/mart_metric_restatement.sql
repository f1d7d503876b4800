-- Closed months whose numbers are no longer what they were at their close, and what has changed since
-- that can have done it.
with definitions as (
    select metric_name, definition_version, policies, unnest(string_split(exports, ', ')) as export,
    from (
        values
        {%- for metric in defined_metrics() %}
        ('{{ metric.name }}', '{{ metric.definition_version }}', {{ text(metric.policies | join("; ")) }}, '{{ metric.exports | join(", ") }}')
        {{- "," if not loop.last }}
        {%- else %}
        (null, null, null, null)
        {%- endfor %}
    ) as registry (metric_name, definition_version, policies, exports)
),

closes as (
    select * from {{ ref('int_metrics__closes') }}
),

closed as (
    select distinct
        metric_name,
        period_grain,
        period_start,
        definition_version,
        policies,
        ledger_seq,
        measured_at,
    from closes
),

live as (
    select *
    from {{ ref('int_metrics__slice_periods') }}
    semi join closed using (metric_name, period_grain, period_start)
),

-- A slice that is only on one side counts as nothing on the other.
restated as (
    select
        metric_name,
        period_grain,
        period_start,
        slice_dimension,
        slice_value,
        closes.numerator as numerator_close,
        live.numerator as numerator_now,
        closes.denominator as denominator_close,
        live.denominator as denominator_now,
        closes.value as value_close,
        live.value as value_now,
        bool_or(slice_dimension = 'total') over (
            partition by metric_name, period_grain, period_start
        ) as has_total_changed,
    from closes
    full join live using (metric_name, period_grain, period_start, slice_dimension, slice_value)
    where
        coalesce(closes.numerator, 0) <> coalesce(live.numerator, 0)
        or coalesce(closes.denominator, 0) <> coalesce(live.denominator, 0)
),

-- Those of features have no total that could be as it was.
totalled as (
    select distinct metric_name
    from {{ ref('int_metrics__slice_periods') }}
    where slice_dimension = 'total'
),

changed_days as (
    select
        metric_name,
        ledger_seq,
        export,
        is_correction,
        count(*) as days,
        min(landing_date) as first_day,
        max(landing_date) as last_day,
    from (
        select distinct metric_name, ledger_seq
        from closed
        semi join restated using (metric_name, period_grain, period_start)
    )
    inner join definitions using (metric_name)
    inner join {{ ref('int_metrics__changed_days') }} using (ledger_seq, export)
    group by all
),

evidence as (
    select
        *,
        concat(export, ' ', first_day, if(days > 1, concat(' to ', last_day, ' (', days, ' days)'), ''))
            as told,
    from changed_days
),

changed_exports as (
    select
        metric_name,
        ledger_seq,
        string_agg(told, '; ' order by told) filter (is_correction) as corrected_exports,
        string_agg(told, '; ' order by told) filter (not is_correction) as late_exports,
    from evidence
    group by all
),

explained as (
    select
        restated.*,
        closed.measured_at,
        closed.definition_version as definition_version_close,
        rules.definition_version as definition_version_now,
        -- "gap_tolerance_days = 0 (was 7)"
        array_to_string(
            list_transform(
                list_filter(
                    string_split(rules.policies, '; '),
                    lambda policy: not list_contains(string_split(closed.policies, '; '), policy)
                ),
                lambda policy: policy || coalesce(
                    ' (was ' || list_filter(
                        string_split(closed.policies, '; '),
                        lambda former: starts_with(former, split_part(policy, ' = ', 1) || ' = ')
                    )[1].split_part(' = ', 2) || ')',
                    ''
                )
            ),
            '; '
        ) as changed_policies,
        changed_exports.corrected_exports,
        changed_exports.late_exports,
    from restated
    inner join closed using (metric_name, period_grain, period_start)
    inner join (select distinct metric_name, definition_version, policies from definitions) as rules
        using (metric_name)
    left join changed_exports using (metric_name, ledger_seq)
),

judged as (
    select
        *,
        [
            cause for cause in [
                if(definition_version_close <> definition_version_now, 'changed_definition', null),
                if(changed_policies <> '', 'changed_policy', null),
                if(not has_total_changed and metric_name in (from totalled), 'changed_slice', null),
                if(corrected_exports is not null, 'corrected_export', null),
                if(late_exports is not null, 'late_data', null),
            ] if cause is not null
        ] as causes,
    from explained
)

select
    metric_name,
    period_grain,
    slice_dimension,
    slice_value,
    numerator_close,
    numerator_now,
    denominator_close,
    denominator_now,
    value_close,
    value_now,
    value_now - value_close as delta,
    coalesce(causes[1], 'unknown') as cause,
    array_to_string(causes, '; ') as possible_causes,
    nullif(changed_policies, '') as changed_policies,
    corrected_exports,
    late_exports,
    definition_version_close,
    definition_version_now,
    period_start as metric_date,
    measured_at,
    {{ as_of_date() }} as restated_at,
from judged
