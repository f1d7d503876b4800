-- Accounts by the month in which they started, and how many of them reached a milestone within so many days.
-- A cell exists once everybody who may start in the month has had the days: the future is absent, never zero.
with cells as (
    select
        milestone,
        slice_dimension,
        slice_value,
        window_days,
        count(*) as started,
        count(*) filter (days_to_reach <= window_days) as reached,
        {{ month_of('started_date') }} as cohort_start,
    from ({{ by_slice(source('derived', 'onboarding_milestones')) }})
    cross join (select unnest([7, 30, 60, 90]) as window_days) as windows
    group by all
)

select
    milestone,
    slice_dimension,
    slice_value,
    window_days,
    started,
    reached,
    {{ metric('onboarding_reached_share') }} as reached_share,
    true as is_mature,
    started < {{ var("min_cohort_customers") }} as is_small_sample,
    cohort_start,
from cells
where last_day(cohort_start) + window_days <= {{ as_of_date() }}
