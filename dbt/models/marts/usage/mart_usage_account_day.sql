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
        (sum(sum(seats)) over by_account)::bigint as seats,
        coalesce(lead(changed_date) over by_account, {{ as_of_date() }} + 1) as until_date,
    from changes
    group by account_id, changed_date
    -- A renewal changes nothing.
    having sum(seats) <> 0
    window by_account as (partition by account_id order by changed_date)
),

-- Every month that they are held in: a join by month, where one by time would sort all days of use.
seat_months as (
    select
        *,
        unnest(range(
            {{ month_number('changed_date') }}, {{ month_number('until_date - 1') }} + 1
        )) as month_number,
    from seats
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
    if(exists (from {{ ref('int_revenue__subscriptions') }}), coalesce(seat_months.seats, 0), null) as licensed_users,
    days.occurred_date as period_start,
    days.occurred_date + 1 as period_end,
from {{ ref('int_usage__account_days') }} as days
left join seat_months
    on
        days.account_id = seat_months.account_id
        and {{ month_number('days.occurred_date') }} = seat_months.month_number
        and days.occurred_date >= seat_months.changed_date
        and days.occurred_date < seat_months.until_date
