-- Targets and actuals beside each other, also one without the other. A period is graded against the
-- version in force when it opens.
with versions as (
    select
        objectives.* exclude (period_grain),
        'month' as period_grain,
        months.period_start,
        months.period_end,
        months.is_complete_period,
    from {{ ref('objectives') }} as objectives
    inner join {{ ref('int_quality__months') }} as months
        on
            months.period_start >= objectives.valid_from
            and months.period_start < coalesce(objectives.valid_to, date '9999-12-31')
    where objectives.period_grain = 'month'
    qualify row_number() over (
        partition by objectives.objective_id, months.period_start
        order by objectives.valid_from desc
    ) = 1
),

actuals as (
    select
        metric_name,
        slice_value as segment,
        period_grain,
        period_start,
        period_end,
        is_complete_period,
        numerator,
        denominator,
        value as actual,
        reason_null,
        is_small_sample,
    from {{ ref('int_metrics__slice_periods') }}
    where {{ is_whole_or_segment() }}
),

joined as (
    select
        objective_id,
        metric_name,
        segment,
        period_grain,
        versions.direction,
        versions.baseline,
        versions.target,
        actuals.numerator,
        actuals.denominator,
        actuals.actual,
        versions.owner,
        actuals.is_small_sample,
        versions.valid_from,
        period_start,
        coalesce(versions.period_end, actuals.period_end) as period_end,
        coalesce(versions.is_complete_period, actuals.is_complete_period) as is_complete_period,
        case
            when versions.target is null then 'actual_without_target'
            when actuals.actual is null then 'target_without_actual'
        end as orphan_flag,
        case
            when versions.target is null then 'no_target'
            when actuals.actual is null then coalesce(actuals.reason_null, 'no_data')
            when versions.target = versions.baseline then 'target_is_baseline'
            when versions.baseline is not null then null
            when versions.target = 0 then 'zero_target'
            when versions.target < 0 then 'negative_target'
            when versions.direction = 'decrease' and actuals.actual <= 0 then 'zero_actual'
        end as reason_null,
        if(versions.direction = 'increase', actual >= target, actual <= target) as is_met,
    from versions
    full join actuals using (metric_name, segment, period_grain, period_start)
    where versions.target is not null or actuals.actual is not null
),

attained as (
    select
        *,
        case
            when reason_null is not null then null
            when baseline is not null then {{ ratio('actual - baseline', 'target - baseline') }}
            when direction = 'increase' then {{ ratio('actual', 'target') }}
            else {{ ratio('target', 'actual') }}
        end as attainment,
        least(
            {{ ratio(as_of_date() ~ ' + 1 - period_start', 'period_end - period_start') }}, 1
        ) as share_elapsed,
    from joined
)

select
    objective_id,
    metric_name,
    segment,
    period_grain,
    direction,
    baseline,
    target,
    numerator,
    denominator,
    actual,
    attainment,
    share_elapsed,
    {{ ratio('attainment', 'share_elapsed') }} as pace,
    case
        when orphan_flag = 'actual_without_target' then 'no_target'
        when orphan_flag = 'target_without_actual' then 'no_data'
        -- Without an attainment, reached or not is all that can be said.
        when coalesce(pace >= {{ var("objective_on_track_from") }}, is_met) then 'on_track'
        when pace >= {{ var("objective_at_risk_from") }} then 'at_risk'
        else 'off_track'
    end as status,
    is_met,
    orphan_flag,
    reason_null,
    owner,
    is_small_sample,
    is_complete_period,
    valid_from,
    period_start,
    period_end,
from attained
