-- Events rolled up to account and day, as one would write it without the project; a table events is given.
create table rollup as
with timed as (
    select
        *,
        cast(occurred_at as date) as occurred_date,
        epoch_us(
            lead(occurred_at) over (
                partition by account_id, session_id, cast(occurred_at as date)
                order by occurred_at, event_id
            )
        ) - epoch_us(occurred_at) as gap,
        coalesce(
            round(duration_seconds * 1000000)::bigint,
            if(session_id is not null and gap <= {session_idle_minutes} * 60000000, gap, 0),
            0
        ) as microseconds,
    from events
),

user_days as (
    select
        account_id,
        occurred_date,
        if(user_id is null, sum(microseconds) / 60000000, least(sum(microseconds) / 60000000, {max_minutes_per_user_day}))
            as minutes,
    from timed
    group by account_id, occurred_date, user_id
),

minutes as (
    select account_id, occurred_date, sum(minutes) as minutes,
    from user_days
    group by all
)

select
    account_id,
    occurred_date,
    count(*) as events,
    count(*) filter (event_name = '{login_event}') as logins,
    count(*) filter (event_name = '{key_event}') as key_actions,
    count(distinct session_id) as sessions,
    count(distinct user_id) as active_users,
    any_value(minutes) as minutes,
from timed
inner join minutes using (account_id, occurred_date)
group by all;
