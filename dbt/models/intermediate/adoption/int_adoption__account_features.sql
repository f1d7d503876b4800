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

-- A tier that the catalogue does not name entitles to nobody knows what.
known as (
    select account_id, period_start,
    from held
    semi join catalog using (plan_tier)
    where is_at_close
    group by all
),

entitlements as (
    select
        held.account_id,
        held.period_start,
        catalog.feature,
        bool_or(held.is_at_close and catalog.retired_on >= months.close_date) as is_entitled,
    from held
    inner join months using (period_start)
    inner join catalog
        on
            held.plan_tier = catalog.plan_tier
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
)

select
    account_id,
    feature,
    period_start,
    case
        when entitlements.is_entitled then 'entitled'
        when catalogued.feature is null then 'unknown'
        when paying.account_id is not null and known.account_id is null then 'unknown'
        when entitlements.account_id is not null then 'no_longer_entitled'
        else 'not_entitled'
    end as entitlement,
    coalesce(states.state, 'never_tried') as state,
    paying.account_id is not null as is_paying,
    coalesce(states.is_used, false) as is_used,
    coalesce(states.weeks_used, 0) as weeks_used,
from entitlements
full join states using (account_id, feature, period_start)
left join paying using (account_id, period_start)
left join known using (account_id, period_start)
left join (select distinct feature from catalog) as catalogued using (feature)
-- Who may not use it and does not is of no interest, nor who may or may not and never did.
where
    entitlement = 'entitled'
    or states.is_used
    or (entitlement = 'unknown' and is_paying and states.account_id is not null)
