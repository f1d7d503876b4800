-- What tiers entitle to is found once for all accounts that have the same ones.
with held as (
    select
        tiers,
        period_start,
        unnest(tiers, max_depth := 2),
    from (select distinct tiers, period_start from {{ ref('int_adoption__account_tiers') }})
),

catalog as (
    select
        feature,
        plan_tier,
        coalesce(released_on, date '0001-01-01') as released_on,
        coalesce(retired_on, date '9999-12-31') as retired_on,
    from {{ ref('feature_catalog') }}
)

select
    held.tiers,
    held.period_start,
    catalog.feature,
    bool_or(held.is_at_close and catalog.retired_on >= months.close_date) as is_entitled,
from held
inner join {{ ref('int_quality__months') }} as months using (period_start)
inner join catalog
    on
        held.plan_tier = catalog.plan_tier
        and catalog.released_on < months.close_date
        and catalog.retired_on > months.period_start
group by all
