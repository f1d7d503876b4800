-- backlog(t) = backlog(t-1) + opened - solved, and no backlog is negative.
select *
from {{ ref('int_support__slice_months') }}
qualify
    lag(backlog_at_close, 1, 0) over (partition by slice_dimension, slice_value order by period_start)
    + tickets - solved_tickets <> backlog_at_close
    or backlog_at_close < 0
