with reasons as (
    select
        *,
        sum(exits) over by_month as exits_of_slice,
        sum(exits_with_reason) over by_month as exits_of_slice_with_reason,
    from {{ ref('int_retention__exit_reasons') }}
    window by_month as (partition by slice_dimension, slice_value, period_start)
)

select
    slice_dimension,
    slice_value,
    reason_code,
    exits,
    {{ metric('churn_reason_share') }} as churn_reason_share,
    mrr_lost,
    exits_won_back,
    exits_of_slice::bigint as exits_of_slice,
    exits_of_slice_with_reason::bigint as exits_of_slice_with_reason,
    cancellations,
    cancellations_without_exit,
    is_complete_period,
    period_start,
    period_end,
from reasons
