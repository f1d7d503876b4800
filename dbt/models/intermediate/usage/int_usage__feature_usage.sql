-- Use that a source tells per subscription and day, with the account that the subscription belongs to.
-- Use outside the time of its subscription is kept, and use of an unknown subscription has no account.
{{ config(materialized = 'view') }}
with usage as (
    {{ newest_snapshot([['ravenstack', 'feature_usage']]) }}
),

periods as (
    select *, arg_max(account_id, started_at) over (partition by subscription_id) as newest_account_id
    from {{ ref('int_revenue__subscriptions') }}
)

select
    usage.usage_id,
    usage.subscription_id,
    any_value(periods.newest_account_id) as account_id,
    usage.feature,
    usage.usage_count,
    usage.duration_seconds,
    coalesce(bool_or(usage.occurred_at >= periods.started_at and usage.occurred_at < coalesce(periods.ended_at, timestamp 'infinity')), false)
        as is_within_subscription,
    usage.occurred_at,
    {{ local_date('usage.occurred_at') }} as occurred_date,
from usage
left join periods using (subscription_id)
where usage.occurred_at < {{ as_of_end() }}
group by all
