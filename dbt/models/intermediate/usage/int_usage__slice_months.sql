-- Usage at the close of each month: who is active, and the 28 days up to it against the 28 before.
with windows as (
    select
        slice_dimension,
        slice_value,
        period_start,
        count(*) as known_accounts,
        sum(events_28d) filter (events_previous_28d is not null)::bigint as compared_events_28d,
        sum(events_previous_28d)::bigint as events_previous_28d,
    from ({{ by_slice(ref('int_usage__account_windows')) }})
    where events_28d is not null
    group by all
)

select
    days.slice_dimension,
    days.slice_value,
    days.dau,
    days.mau,
    days.active_user_days_30d,
    days.daily_active_accounts,
    days.monthly_active_accounts,
    days.accounts_with_events,
    days.idle_days,
    windows.known_accounts,
    windows.compared_events_28d,
    windows.events_previous_28d,
    months.is_complete_period,
    months.period_start,
    months.period_end,
from {{ ref('int_usage__slice_days') }} as days
inner join {{ ref('int_quality__months') }} as months on days.period_start = months.close_date - 1
left join windows
    on
        days.slice_dimension = windows.slice_dimension
        and days.slice_value = windows.slice_value
        and months.period_start = windows.period_start
