-- Every account is in one state, and those active in a period are the next one's returning and dormant.
select *
from {{ ref('mart_usage_lifecycle') }}
qualify
    new_accounts + late_start_accounts + returning_accounts + resurrecting_accounts + dormant_accounts + inactive_accounts + never_active_accounts <> accounts
    or new_accounts + late_start_accounts + returning_accounts + resurrecting_accounts <> active_accounts
    or returning_accounts + dormant_accounts <> lag(active_accounts, 1, 0) over (
        partition by period_grain, slice_dimension, slice_value order by period_start
    )
