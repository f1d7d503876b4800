-- Use in the 28 days up to the close of a month against the 28 before, for every account that was known by
-- then: without events it has used nothing. What lies before the first event of all is not known: null, and
-- so is the earlier window of an account younger than both. A window is 28 days long because use follows
-- the week.
with used as (
    select *
    from {{ ref('int_usage__month_rollup') }}
    where grain = 'account'
),

closes as (
    select
        period_start,
        period_end,
        is_complete_period,
        close_date - 1 as last_day,
        first_day as usage_from,
    from {{ ref('int_quality__months') }}
    cross join (select min(first_date) as first_day from used)
    where first_day <= last_day
),

last_events as (
    select account_id, last_event_date,
    from used
    where last_event_date is not null
),

first_seen as (
    select account_id, min(first_date) as first_date,
    from (
        select account_id, {{ local_date('signed_up_at') }} as first_date, from {{ ref('int_accounts__accounts') }}
        union all
        select account_id, {{ local_date('started_at') }}, from {{ ref('int_revenue__subscriptions') }}
        union all
        select account_id, first_event_date, from used
    )
    group by all
),

known as (
    select account_id, first_date, closes.*,
    from first_seen
    inner join closes on first_date <= last_day
)

select
    known.account_id,
    {%- for measure in ["events", "active_days", "active_users", "logins", "key_actions", "minutes"] %}
    if(usage_from <= last_day - 27, coalesce({{ measure }}_28d, 0), null) as {{ measure }}_28d,
    {%- endfor %}
    if(greatest(usage_from, known.first_date) <= last_day - 55, coalesce(events_previous_28d, 0), null)
        as events_previous_28d,
    last_day - last_events.last_event_date as days_since_last_event,
    is_complete_period,
    known.period_start,
    period_end,
from known
left join used using (account_id, period_start)
asof left join last_events
    on last_events.account_id = known.account_id and known.last_day >= last_events.last_event_date
