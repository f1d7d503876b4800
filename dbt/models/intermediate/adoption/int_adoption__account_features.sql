-- What an account does with the features that it has ever used, as each close finds it, and whether it may.
with uses as (
    select account_id, feature, period_start, first_used_date, weeks_used,
    from {{ ref('int_adoption__month_rollup') }}
    where grain = 'account_feature'
),

first_uses as (
    select
        account_id,
        feature,
        min(first_used_date) as first_used_date,
        min(period_start) filter (weeks_used >= {{ var("feature_adopted_weeks") }}) as first_adopted_month,
    from uses
    group by all
),

states as (
    select
        first_uses.account_id,
        first_uses.feature,
        months.period_start,
        uses.first_used_date is not null as is_used,
        case
            when uses.weeks_used >= {{ var("feature_adopted_weeks") }} then 'adopted'
            when uses.account_id is null and first_uses.first_adopted_month < months.period_start then 'dropped'
            else 'tried'
        end as state,
    from first_uses
    inner join {{ ref('int_quality__months') }} as months on months.close_date > first_uses.first_used_date
    left join uses using (account_id, feature, period_start)
),

told as (
    select
        states.*,
        entitlements.is_entitled,
        coalesce(account_tiers.is_known, false) as is_known,
        coalesce(revenue.closing_accounts = 1, false) as is_paying,
    from states
    left join {{ ref('int_revenue__account_months') }} as revenue using (account_id, period_start)
    left join {{ ref('int_adoption__account_tiers') }} as account_tiers using (account_id, period_start)
    left join {{ ref('int_adoption__entitlements') }} as entitlements using (tiers, period_start, feature)
)

select
    account_id,
    feature,
    period_start,
    case
        when is_entitled then 'entitled'
        when feature not in (select feature from {{ ref('feature_catalog') }}) then 'unknown'
        when is_paying and not is_known then 'unknown'
        when is_entitled is not null then 'no_longer_entitled'
        else 'not_entitled'
    end as entitlement,
    state,
    is_paying,
    is_used,
from told
-- Who may not use it and does not is of no interest.
where entitlement = 'entitled' or is_used or (entitlement = 'unknown' and is_paying)
