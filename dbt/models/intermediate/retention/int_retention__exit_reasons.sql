-- Why accounts left, beside what was said by all who cancelled: a cancellation that ended no paid spell is
-- counted in its own month, under its own reason.
with exits as (
    select
        slice_dimension,
        slice_value,
        period_start,
        reason_code,
        count(*) as exits,
        count(*) filter (is_reason_known) as exits_with_reason,
        count(*) filter (is_destination_known) as exits_with_destination,
        count(winback_at) as exits_won_back,
        sum(mrr_lost) as mrr_lost,
    from ({{ by_slice(ref('int_retention__exits')) }})
    group by all
),

said as (
    select
        cancellations.account_id,
        coalesce(cancellations.reason_code, 'unknown') as reason_code,
        exits.cancellation_id is null as is_without_exit,
        {{ month_of(local_date('cancelled_at')) }} as period_start,
    from {{ ref('int_revenue__cancellations') }} as cancellations
    left join {{ ref('int_retention__exits') }} as exits using (cancellation_id)
),

cancellations as (
    select
        slice_dimension,
        slice_value,
        period_start,
        reason_code,
        count(*) as cancellations,
        count(*) filter (is_without_exit) as cancellations_without_exit,
    from ({{ by_slice("said") }})
    group by all
)

select
    slice_dimension,
    slice_value,
    reason_code,
    coalesce(exits, 0) as exits,
    coalesce(exits_with_reason, 0) as exits_with_reason,
    coalesce(exits_with_destination, 0) as exits_with_destination,
    coalesce(exits_won_back, 0) as exits_won_back,
    coalesce(mrr_lost, 0)::decimal(38, 6) as mrr_lost,
    coalesce(cancellations, 0) as cancellations,
    coalesce(cancellations_without_exit, 0) as cancellations_without_exit,
    months.is_complete_period,
    period_start,
    months.period_end,
from exits
full join cancellations using (slice_dimension, slice_value, period_start, reason_code)
inner join {{ ref('int_quality__months') }} as months using (period_start)
