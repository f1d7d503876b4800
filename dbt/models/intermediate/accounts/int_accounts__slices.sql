-- A slice is a fixed set of accounts: the attribute each has on the as-of day. Every known account is in
-- exactly one slice of each dimension, so additive measures of slices sum to the total.
with accounts as (
    select account_id from {{ ref('int_accounts__accounts') }}
    union
    select account_id from {{ ref('int_revenue__subscriptions') }}
),

-- The paid row that is open at the as-of day, else the one that ended last.
plans as (
    select
        account_id,
        arg_max_null(
            plan_tier, (coalesce(service_ended_at, timestamp 'infinity'), started_at, mrr, subscription_id)
        ) as plan_tier,
    from {{ ref('int_revenue__item_periods') }}
    where mrr > 0 and not is_empty
    group by all
)

select
    accounts.account_id,
    unnest(['total', 'segment', 'plan_tier', 'country', 'acquisition_channel']) as slice_dimension,
    unnest([
        'all',
        coalesce(attributes.segment, 'unknown'),
        coalesce(plans.plan_tier, 'unknown'),
        coalesce(attributes.country, 'unknown'),
        coalesce(attributes.acquisition_channel, 'unknown'),
    ]) as slice_value,
from accounts
left join {{ ref('int_accounts__accounts') }} as attributes using (account_id)
left join plans using (account_id)
