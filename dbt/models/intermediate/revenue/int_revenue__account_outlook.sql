{% set tolerance = "interval " ~ var("gap_tolerance_days") ~ " day" %}
-- What the open subscriptions of an account say of the time after the as-of day.
with covers as (
    select subscription_id, started_at, service_ended_at is not null as has_ended,
    from {{ ref('int_revenue__item_periods') }}
),

subscriptions as (
    select
        *,
        started_at < {{ as_of_end() }} and coalesce(ended_at, timestamp 'infinity') >= {{ as_of_end() }} as is_open,
        coalesce(not has_ended and status <> 'trialing', false) as is_paid_now,
    from {{ ref('int_revenue__subscriptions') }}
    left join covers using (subscription_id, started_at)
    -- What its grace or the recognition of churn has ended, also before it began, and what never counts,
    -- lies ahead of nobody.
    where
        coalesce(not has_ended, status in ('trialing', 'paused') or trial_until >= {{ as_of_end() }})
        and not {{ is_void() }}
),

-- A trial or a pause has nothing to lose.
paid as (
    select *
    from subscriptions
    where status not in ('trialing', 'paused')
),

-- A row that the next one of its subscription follows is a change of price or plan and no end.
endings as (
    select paid.account_id, min(paid.ended_at) as ends_at,
    from paid
    semi join (from paid where is_paid_now) as paid_now
        on paid.account_id = paid_now.account_id and paid.subscription_id = paid_now.subscription_id
    anti join paid as following
        on
            paid.account_id = following.account_id
            and paid.subscription_id = following.subscription_id
            and paid.started_at < following.started_at
            and paid.ended_at + {{ tolerance }} >= following.started_at
    where paid.ended_at >= {{ as_of_end() }}
    group by all
),

-- What an account does not pay for tells of its money only where it pays for nothing.
speaking as (
    select *, is_paid_now or not bool_or(is_paid_now) over (partition by account_id) as speaks,
    from subscriptions
    where is_open
)

select
    account_id,
    max(cancel_requested_at) filter (speaks and cancel_requested_at < {{ as_of_end() }}) as cancel_requested_at,
    bool_or(status = 'past_due') as is_past_due,
    min(term_end_date) filter (speaks and term_end_date >= {{ as_of_date() }}) as renewal_date,
    any_value(endings.ends_at) as ends_at,
from speaking
left join endings using (account_id)
group by account_id
