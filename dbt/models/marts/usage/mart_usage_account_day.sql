-- Seats are those that the account pays for at the end of the day.
with changes as (
    select account_id, {{ local_date('period_from') }} as changed_date, seats,
    from {{ ref('int_revenue__account_periods') }}
    union all
    select account_id, {{ local_date('period_to') }}, -seats,
    from {{ ref('int_revenue__account_periods') }}
),

seats as (
    select
        account_id,
        changed_date,
        (sum(sum(seats)) over (partition by account_id order by changed_date))::bigint as seats,
    from changes
    group by account_id, changed_date
    -- A renewal changes nothing.
    having sum(seats) <> 0
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
from {{ ref('int_usage__account_days') }} as days
asof left join seats on days.account_id = seats.account_id and days.occurred_date >= seats.changed_date
