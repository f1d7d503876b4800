-- Seats are those that the account pays for at the end of the day.
with days as (
    select *, {{ day_start('occurred_date + 1') }} as close_at,
    from {{ ref('int_usage__account_days') }}
),

seats as (
    select days.account_id, days.occurred_date, sum(periods.seats)::bigint as seats,
    from days
    inner join {{ ref('int_revenue__account_periods') }} as periods
        on
            periods.account_id = days.account_id
            and periods.period_from < days.close_at
            and periods.period_to >= days.close_at
    group by all
)

select
    days.account_id,
    days.active_users,
    days.logins,
    days.key_actions,
    days.events,
    days.active_events,
    days.sessions,
    days.minutes,
    if(exists (from {{ ref('int_revenue__subscriptions') }}), coalesce(seats.seats, 0), null) as licensed_users,
    days.occurred_date as period_start,
    days.occurred_date + 1 as period_end,
from days
left join seats using (account_id, occurred_date)
