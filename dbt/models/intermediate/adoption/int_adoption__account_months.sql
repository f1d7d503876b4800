-- How far an account has adopted the product, for every account that is known in a month: how often it is
-- used (frequency), how much of it (breadth), by how many of those who may (depth), and the verdicts of
-- the adoption rules.
with months as (
    select
        period_start,
        period_end,
        is_complete_period,
        close_date,
    from {{ ref('int_quality__months') }}
),

first_signs as (
    select account_id, min(sign_date) as first_date,
    from (
        select account_id, {{ local_date('signed_up_at') }} as sign_date
        from {{ ref('int_accounts__accounts') }}
        union all
        select account_id, {{ local_date('started_at') }}
        from {{ ref('int_revenue__subscriptions') }}
        union all
        select account_id, period_start
        from {{ ref('int_usage__account_months') }}
    )
    semi join {{ ref('int_accounts__slices') }} using (account_id)
    group by all
),

known as (
    select account_id, months.*,
    from first_signs
    inner join months on months.close_date > first_signs.first_date
),

entitled as (
    select account_id, period_start, entitled_features,
    from {{ ref('int_adoption__account_tiers') }}
    inner join (
        select tiers, period_start, count(*) as entitled_features,
        from {{ ref('int_adoption__entitlements') }}
        where is_entitled
        group by all
    ) using (tiers, period_start)
),

features as (
    select account_id, period_start, count(*) as used_entitled_features,
    from {{ ref('int_adoption__account_features') }}
    where entitlement = 'entitled' and is_used
    group by all
),

users as (
    select account_id, period_start, healthy_users, active_users, inactive_users,
    from {{ ref('int_adoption__month_rollup') }}
    where grain = 'account_users'
),

-- From when on an account's use, and that of its users, is told of: only then is seeing none a zero.
tellers as (
    select account_id, min(period_start) as first_month,
    from {{ ref('int_usage__account_months') }}
    group by all
),

user_tellers as (
    select account_id, min(first_user_date) as first_date,
    from {{ ref('int_usage__month_rollup') }}
    where grain = 'account'
    group by all
),

joined as (
    select
        known.account_id,
        known.period_start,
        known.period_end,
        known.is_complete_period,
        coalesce(revenue.closing_accounts, 0) = 1 as is_paying,
        past.tenure_days,
        past.rule_version,
        coalesce(past.eligibility, 'not_eligible') as eligibility,
        if(past.account_id is null, 'not_paying', past.eligibility_reason) as eligibility_reason,
        past.is_fully_adopted,
        present.rule_version as rule_version_now,
        coalesce(present.eligibility, 'not_eligible') as eligibility_now,
        present.is_fully_adopted as is_fully_adopted_now,
        past.window_weeks,
        past.weeks_reached,
        past.window_logins,
        past.window_sessions,
        past.window_key_sessions,
        if(tellers.first_month <= known.period_start, coalesce(usage.active_days, 0), null) as active_days,
        if(tellers.first_month <= known.period_start, coalesce(usage.features_used, 0), null) as features_used,
        entitled.entitled_features,
        if(entitled.entitled_features is null, null, coalesce(features.used_entitled_features, 0))
            as used_entitled_features,
        revenue.closing_seats as licensed_users,
        if(user_tellers.first_date < known.close_date, coalesce(users.healthy_users, 0), null)
            as healthy_users,
        if(user_tellers.first_date < known.close_date, coalesce(users.active_users, 0), null)
            as active_users,
        if(user_tellers.first_date < known.close_date, coalesce(users.inactive_users, 0), null)
            as inactive_users,
    from known
    left join (from {{ ref('int_adoption__account_rules') }} where rule_basis = 'then') as past using (account_id, period_start)
    left join (from {{ ref('int_adoption__account_rules') }} where rule_basis = 'now') as present using (account_id, period_start)
    left join {{ ref('int_revenue__account_months') }} as revenue using (account_id, period_start)
    left join {{ ref('int_usage__account_months') }} as usage using (account_id, period_start)
    left join entitled using (account_id, period_start)
    left join features using (account_id, period_start)
    left join users using (account_id, period_start)
    left join tellers using (account_id)
    left join user_tellers using (account_id)
)

select
    *,
    {{ metric('adoption_frequency') }} as frequency,
    {{ metric('adoption_breadth') }} as breadth,
    {{ metric('adoption_depth') }} as depth,
    {{ metric('key_action_session_rate') }} as key_action_session_rate,
    case
        when depth >= {{ var("depth_green_from") }} then 'green'
        when depth >= {{ var("depth_lime_from") }} then 'lime'
        when depth >= {{ var("depth_yellow_from") }} then 'yellow'
        when depth >= {{ var("depth_orange_from") }} then 'orange'
        when depth >= 0 then 'red'
        else 'unknown'
    end as depth_band,
    case
        when is_fully_adopted then 'full'
        when eligibility <> 'eligible' then eligibility
        when window_logins > 0 then 'partial'
        else 'none'
    end as adoption_band,
from joined
