-- A complete month far from the months before it: farther from their median than so many times their
-- median distance from it. Medians, because one odd month must not hide the next.
with metrics as (
    select *
    from {{ ref('int_metrics__slice_periods') }}
    where is_complete_period
),

with_history as (
    select
        *,
        list(value) filter (value is not null and not is_small_sample) over (
            partition by metric_name, period_grain, slice_dimension, slice_value
            order by period_start
            range between to_months({{ var("anomaly_history") }}) preceding and interval 1 day preceding
        ) as history,
    from metrics
),

expected as (
    select
        *,
        len(history) as months_before,
        list_median(history) as expected,
        -- 1.4826 makes the median distance that of a standard deviation where values are normal. What
        -- hardly ever moved may move by a share of itself; what was always zero has no band.
        greatest(
            1.4826 * list_mad(history),
            {{ var("anomaly_min_spread") }} * abs(list_median(history))
        ) as spread,
    from with_history
    where value is not null and not is_small_sample and len(history) >= {{ var("anomaly_min_history") }}
),

judged as (
    select
        *,
        expected - {{ var("anomaly_band") }} * spread as band_low,
        expected + {{ var("anomaly_band") }} * spread as band_high,
        {{ ratio('abs(value - expected)', 'spread') }} as distance,
    from expected
)

select
    metric_name,
    period_grain,
    slice_dimension,
    slice_value,
    value,
    expected,
    band_low,
    band_high,
    distance,
    if(distance > 2 * {{ var("anomaly_band") }}, 'high', 'medium') as severity,
    months_before,
    sample_size,
    period_start,
from judged
where distance > {{ var("anomaly_band") }}
