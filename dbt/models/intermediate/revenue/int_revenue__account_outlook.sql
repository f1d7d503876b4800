{% set tolerance = "interval " ~ var("gap_tolerance_days") ~ " day" %}
-- What the open subscriptions of an account say of the time after the as-of day.
with subscriptions as (
    select
        *,
        started_at < {{ as_of_end() }} and coalesce(ended_at, timestamp 'infinity') >= {{ as_of_end() }} as is_open,
    from {{ ref('int_revenue__subscriptions') }}
    -- What its grace or the recognition of churn has ended, and what never counts, lies ahead of nobody.
    anti join (
        from {{ ref('int_revenue__item_periods') }} where covered_to is not null
    ) as ended using (subscription_id, started_at)
    where not {{ is_void() }}
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
    semi join (from paid where is_open) as paid_now
        on paid.account_id = paid_now.account_id and paid.subscription_id = paid_now.subscription_id
    anti join paid as following
        on
            paid.account_id = following.account_id
            and paid.subscription_id = following.subscription_id
            and paid.started_at < following.started_at
            and paid.ended_at + {{ tolerance }} >= following.started_at
    where paid.ended_at >= {{ as_of_end() }}
    group by all
)

select
    account_id,
    max(cancel_requested_at) filter (cancel_requested_at < {{ as_of_end() }}) as cancel_requested_at,
    bool_or(status = 'past_due') as is_past_due,
    min(term_end_date) filter (term_end_date >= {{ as_of_date() }}) as renewal_date,
    any_value(endings.ends_at) as ends_at,
from subscriptions
left join endings using (account_id)
where is_open
group by account_id
