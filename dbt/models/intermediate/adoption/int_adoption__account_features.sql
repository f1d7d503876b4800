-- What an account may use and what it does use, feature by feature, as each close finds it.
with uses as (
    select account_id, feature, period_start, first_used_date, weeks_used,
    from {{ ref('int_adoption__month_rollup') }}
    where grain = 'account_feature'
),

-- Of closes by which no use of any feature was told, nobody knows who used none.
months as (
    select
        period_start,
        open_at,
        close_at,
        close_date,
    from {{ ref('int_quality__months') }}
    where close_date > (select min(first_used_date) from uses)
),

catalog as (
    select
        feature,
        plan_tier,
        coalesce(released_on, date '0001-01-01') as released_on,
        coalesce(retired_on, date '9999-12-31') as retired_on,
    from {{ ref('feature_catalog') }}
),

paying as (
    select account_id, period_start,
    from {{ ref('int_revenue__account_months') }}
    where closing_accounts = 1
),

-- The tiers an account had in a month. At the close those of the rows in force count, or of the last one
-- where a short hole in the cover is carried; rows that cost something before those that do not.
tiers as (
    select
        items.account_id,
        months.period_start,
        items.plan_tier,
        coalesce(items.covered_to, timestamp 'infinity') > months.open_at as is_in_month,
        rank() over (
            partition by items.account_id, months.period_start
            order by least(items.covered_to, months.close_at) desc, coalesce(items.mrr > 0, false) desc
        ) = 1 as is_newest,
    from {{ ref('int_revenue__item_periods') }} as items
    inner join months
        on
            items.covered_from < months.close_at
            and coalesce(items.covered_to, timestamp 'infinity')
            >= months.open_at - interval {{ var("gap_tolerance_days") }} day
    where items.covered_from < coalesce(items.covered_to, timestamp 'infinity')
),

held as (
    select
        account_id,
        period_start,
        plan_tier,
        bool_or(is_newest and paying.account_id is not null) as is_at_close,
    from tiers
    left join paying using (account_id, period_start)
    group by all
    having bool_or(is_in_month) or is_at_close
),

-- What tiers entitle to is found once for all accounts that have the same ones. A tier that the catalogue
-- does not name entitles to nobody knows what.
holdings as (
    select
        account_id,
        period_start,
        bool_or(is_at_close and plan_tier in (select plan_tier from catalog)) as is_known,
        to_json(list({tier: plan_tier, is_at_close: is_at_close} order by plan_tier))::varchar as tiers,
    from held
    group by all
),

entitlements as (
    select
        tiers,
        period_start,
        feature,
        bool_or(is_at_close and catalog.retired_on >= months.close_date) as is_entitled,
    from (
        select distinct tiers, period_start, plan_tier, is_at_close,
        from held
        inner join holdings using (account_id, period_start)
    ) as combos
    inner join months using (period_start)
    inner join catalog
        on
            combos.plan_tier = catalog.plan_tier
            and catalog.released_on < months.close_date
            and catalog.retired_on > months.period_start
    group by all
),

first_uses as (
    select account_id, feature, min(first_used_date) as first_used_date,
    from uses
    group by all
),

states as (
    select
        first_uses.account_id,
        first_uses.feature,
        months.period_start,
        uses.first_used_date is not null as is_used,
        coalesce(uses.weeks_used, 0) as weeks_used,
        weeks_used >= {{ var("feature_adopted_weeks") }} as is_adopted,
        case
            when is_adopted then 'adopted'
            when
                uses.account_id is null
                and bool_or(is_adopted) over (
                    partition by first_uses.account_id, first_uses.feature order by months.period_start
                )
                then 'dropped'
            else 'tried'
        end as state,
    from first_uses
    inner join months on months.close_date > first_uses.first_used_date
    left join uses using (account_id, feature, period_start)
),

told as (
    select
        states.*,
        entitlements.is_entitled,
        coalesce(holdings.is_known, false) as is_known,
        paying.account_id is not null as is_paying,
    from states
    left join holdings using (account_id, period_start)
    left join paying using (account_id, period_start)
    left join entitlements
        on
            holdings.tiers = entitlements.tiers
            and states.period_start = entitlements.period_start
            and states.feature = entitlements.feature
),

untold as (
    select holdings.account_id, entitlements.feature, period_start,
    from holdings
    inner join entitlements using (tiers, period_start)
    anti join states using (account_id, feature, period_start)
    where is_entitled
)

select
    account_id,
    feature,
    period_start,
    case
        when is_entitled then 'entitled'
        when feature not in (select feature from catalog) then 'unknown'
        when is_paying and not is_known then 'unknown'
        when is_entitled is not null then 'no_longer_entitled'
        else 'not_entitled'
    end as entitlement,
    state,
    is_paying,
    is_used,
    weeks_used,
from told
-- Who may not use it and does not is of no interest, nor who may or may not and never did.
where entitlement = 'entitled' or is_used or (entitlement = 'unknown' and is_paying)
union all by name
select
    account_id,
    feature,
    period_start,
    'entitled' as entitlement,
    'never_tried' as state,
    true as is_paying,
    false as is_used,
    0 as weeks_used,
from untold
