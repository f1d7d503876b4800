-- When a subscription row covers its account. Every policy about the time of a single subscription is
-- decided here. Ends are null while they lie beyond the as-of day; covered_to is later than
-- service_ended_at only where mrr_snapshot counts a whole month for any moment of it.
with subscriptions as (
    select * from {{ ref('int_revenue__subscriptions') }}
),

{% if var("churn_recognition") == "cancel_effective" -%}
cancellations as (
    select subscriptions.subscription_id, started_at, min(cancelled_at) as cancelled_at,
    from subscriptions
    inner join {{ ref('int_revenue__cancellations') }} as cancellations
        on
            cancellations.account_id = subscriptions.account_id
            and (
                cancellations.cancelled_at > subscriptions.started_at
                -- The row that the cancellation itself opened.
                or (subscriptions.status = 'canceled' and cancellations.cancelled_at = subscriptions.started_at)
            )
    where
        coalesce(cancellations.subscription_id, subscriptions.subscription_id)
        = subscriptions.subscription_id
    group by all
),

{% endif -%}
recognised as (
    select
        subscriptions.*,
        {% if var("trial_policy") == "exclude" -%}
        greatest(started_at, trial_end_at) as covered_from,
        {%- else -%}
        started_at as covered_from,
        {%- endif %}
        -- A grace that was over before the row began ends it where it begins.
        if(
            status = 'past_due',
            greatest(
                coalesce(past_due_since, started_at) + interval {{ var("past_due_grace_days") }} day,
                started_at
            ),
            null
        ) as grace_ends_at,
        least(
            ended_at,
            {% if var("churn_recognition") == "cancel_requested" -%}
            cancel_requested_at,
            {%- elif var("churn_recognition") == "cancel_effective" -%}
            cancellations.cancelled_at,
            {%- endif %}
            grace_ends_at
        ) as ends_at,
        ends_at as service_ends_at,
        coalesce(ends_at = grace_ends_at, false) as is_dunned,
    from subscriptions
    {% if var("churn_recognition") == "cancel_effective" -%}
    left join cancellations using (subscription_id, started_at)
    {% endif -%}
    where
        status <> 'paused'
        and not {{ is_void() }}
        {% if var("trial_policy") == "exclude" %}and status <> 'trialing'{% endif %}
        -- An empty cover earns nothing, but tells of the dunning that ended what came before.
        and (covered_from < coalesce(ends_at, timestamp 'infinity') or (is_dunned and covered_from = ends_at))
        and covered_from < {{ as_of_end() }}
){{ "," if var("mrr_snapshot") == "any_time" }}

{% if var("mrr_snapshot") == "any_time" -%}
-- Active at any moment of a month is active at its close, once a cover that ends inside a month is
-- extended to the month's end; not where the same subscription goes on within it. An empty cover stays
-- empty, and goes with what came before to a month's end that has come.
covered as (
    select
        * replace (extended_to as ends_at, if(is_empty, extended_to, covered_from) as covered_from),
    from (
        select
            *,
            covered_from = ends_at as is_empty,
            lead(if(is_empty, null, covered_from) ignore nulls)
                over (partition by subscription_id order by covered_from, started_at) as next_from,
            {{ day_start("date_trunc('month', " ~ local_date("ends_at - interval 1 microsecond") ~ ") + interval 1 month") }}
                as month_end_at,
            if(
                next_from < month_end_at or (is_empty and month_end_at >= {{ as_of_end() }}), ends_at, month_end_at
            ) as extended_to,
        from recognised
    )
)

{% endif -%}
select
    subscription_id,
    account_id,
    plan_id,
    plan_tier,
    status,
    currency,
    term,
    term_end_date,
    quantity,
    discount_percent,
    mrr_original,
    mrr,
    is_dunned,
    -- Overdue since it began: nothing was ever paid for it.
    status <> 'active' and coalesce(
        past_due_since <= greatest(started_at, trial_end_at), status = 'past_due'
    ) as is_overdue,
    started_at,
    covered_from,
    if(status = 'trialing', null, greatest(started_at, trial_end_at)) as paid_from,
    if(service_ends_at < {{ as_of_end() }}, service_ends_at, null) as service_ended_at,
    if(ends_at < {{ as_of_end() }}, ends_at, null) as covered_to,
    coalesce(covered_from = ends_at, false) as is_empty,
from {{ "covered" if var("mrr_snapshot") == "any_time" else "recognised" }}
