select *
from {{ ref('mart_mrr_bridge') }}
window by_slice as (partition by slice_dimension, slice_value order by period_start)
qualify
    lag(closing_mrr, 1, 0) over by_slice <> opening_mrr
    or lag(closing_accounts, 1, 0) over by_slice <> opening_accounts
    or lag(period_end, 1, period_start) over by_slice <> period_start
