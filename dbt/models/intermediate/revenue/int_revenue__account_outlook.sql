{% set tolerance = "interval " ~ var("gap_tolerance_days") ~ " day" %}
-- What the open subscriptions of an account say of the time after the as-of day.
with subscriptions as (
    select * from {{ ref('int_revenue__subscriptions') }}
),

open_rows as (
    select *
    from subscriptions
    where started_at < {{ as_of_end() }} and coalesce(ended_at, timestamp 'infinity') >= {{ as_of_end() }}
),

-- A row that the next one of its subscription follows is a change of price or plan and no end, and a trial
-- or a pause has nothing to lose.
endings as (
    select open_rows.account_id, min(open_rows.ended_at) as ends_at,
    from open_rows
    anti join subscriptions as following
        on
            open_rows.account_id = following.account_id
            and open_rows.subscription_id = following.subscription_id
            and open_rows.started_at < following.started_at
            and open_rows.ended_at + {{ tolerance }} >= following.started_at
            and following.status in ('active', 'past_due')
    where open_rows.ended_at is not null and open_rows.status not in ('trialing', 'paused')
    group by all
)

select
    account_id,
    max(cancel_requested_at) filter (cancel_requested_at < {{ as_of_end() }}) as cancel_requested_at,
    bool_or(status = 'past_due') as is_past_due,
    min(term_end_date) filter (term_end_date >= {{ as_of_date() }}) as renewal_date,
    any_value(endings.ends_at) as ends_at,
from open_rows
left join endings using (account_id)
group by account_id
