-- Usage at the close of each month: who is active, and the 28 days up to it against the 28 before.
with days as (
    select
        slice_dimension,
        slice_value,
        months.period_start,
        months.period_end,
        months.is_complete_period,
        {%- for measure in ["dau", "wau", "mau", "daily_active_accounts", "weekly_active_accounts", "monthly_active_accounts", "accounts_with_events", "idle_days", "active_user_days_30d"] %}
        arg_max({{ measure }}, days.period_start) as {{ measure }},
        {%- endfor %}
    from {{ ref('int_usage__slice_days') }} as days
    inner join {{ ref('int_quality__months') }} as months
        on months.period_start = date_trunc('month', days.period_start)
    group by all
),

windows as (
    select
        slice_dimension,
        slice_value,
        period_start,
        count(*) as known_accounts,
        sum(events_28d)::bigint as events_28d,
        sum(events_28d) filter (events_previous_28d is not null)::bigint as compared_events_28d,
        sum(events_previous_28d)::bigint as events_previous_28d,
    from ({{ by_slice(ref('int_usage__account_windows')) }})
    group by all
)

select
    days.slice_dimension,
    days.slice_value,
    days.dau,
    days.wau,
    days.mau,
    days.active_user_days_30d,
    days.daily_active_accounts,
    days.weekly_active_accounts,
    days.monthly_active_accounts,
    days.accounts_with_events,
    days.idle_days,
    windows.known_accounts,
    windows.events_28d,
    windows.compared_events_28d,
    windows.events_previous_28d,
    days.is_complete_period,
    days.period_start,
    days.period_end,
from days
left join windows using (slice_dimension, slice_value, period_start)
