-- Calendar weeks and months, not trailing windows: the same user may be active on one day of a week and on
-- three of the next, and counts in both buckets.
with accounts as (
    select
        coalesce(alike_account_id, account_id) as account_id,
        if(week_start is null, 'month', 'week') as period_grain,
        coalesce(week_start, period_start) as period_start,
        days_active as active_days,
        sum(members) as users,
    from {{ ref('int_usage__active_days') }}
    left join {{ ref('int_accounts__alike') }} using (account_id)
    where grain = 'user'
    group by all
),

sliced as (
    select slice_dimension, slice_value, period_grain, period_start, active_days, sum(users)::bigint as users,
    from ({{ by_slice('accounts') }})
    group by all
),

grid as (
    select
        slice_dimension,
        slice_value,
        period_grain,
        period_start,
        if(period_grain = 'week', period_start + 7, cast(period_start + interval 1 month as date)) as period_end,
        unnest(range(1, period_end - period_start + 1)) as active_days,
    from (select distinct slice_dimension, slice_value, period_grain, period_start, from sliced)
)

select
    grid.period_grain,
    grid.slice_dimension,
    grid.slice_value,
    grid.active_days,
    coalesce(sliced.users, 0) as users_exactly,
    sum(coalesce(sliced.users, 0)) over (
        partition by grid.period_grain, grid.period_start, grid.slice_dimension, grid.slice_value
        order by grid.active_days
        rows between current row and unbounded following
    )::bigint as users_at_least,
    grid.period_end <= {{ as_of_date() }} + 1 as is_complete_period,
    grid.period_start,
    grid.period_end,
from grid
left join sliced using (period_grain, period_start, slice_dimension, slice_value, active_days)
