-- The accounts behind the ticket bands end as the throughput says that accounts end.
with outcomes as (
    select
        coalesce(sum(accounts) filter (outcome like 'completed%'), 0) as completed,
        coalesce(sum(accounts) filter (outcome = 'completed_in_target'), 0) as completed_within_target,
        coalesce(sum(accounts) filter (outcome = 'left'), 0) as churned_before,
        coalesce(sum(accounts), 0) as started,
    from {{ ref('mart_support_onboarding') }}
),

flows as (
    select
        coalesce(sum(completed), 0) as completed,
        coalesce(sum(completed_within_target), 0) as completed_within_target,
        coalesce(sum(churned_before), 0) as churned_before,
        coalesce(sum(started), 0) as started,
    from {{ ref('mart_onboarding_throughput') }}
    where
        period_grain = 'month'
        and slice_dimension = 'total'
        and exists (from {{ ref('mart_support_onboarding') }})
)

from outcomes
except
from flows
