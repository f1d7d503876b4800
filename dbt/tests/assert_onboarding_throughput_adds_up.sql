-- open(t) = open(t-1) + started - completed - churned_before
select *
from {{ ref('mart_onboarding_throughput') }}
qualify
    lag(open_at_end, 1, 0) over (
        partition by period_grain, slice_dimension, slice_value order by period_start
    ) + started - completed - churned_before <> open_at_end
