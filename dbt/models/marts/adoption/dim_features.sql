with catalog as (
    select
        feature,
        list(plan_tier order by plan_tier) as entitled_plans,
        bool_or(is_core) as is_core,
        -- A tier without a day has always had it, which is before the day of any other tier.
        if(count(released_on) = count(*), min(released_on), null) as released_on,
        -- A feature is there until its last tier has lost it.
        if(count(retired_on) = count(*), max(retired_on), null) as retired_on,
    from {{ ref('feature_catalog') }}
    group by all
),

used as (
    select feature, min(occurred_date) as first_used_date, max(occurred_date) as last_used_date,
    from {{ ref('int_usage__account_day_features') }}
    group by all
)

select
    feature,
    coalesce(catalog.entitled_plans, []) as entitled_plans,
    catalog.feature is not null as is_in_catalog,
    catalog.is_core,
    catalog.released_on,
    catalog.retired_on,
    used.first_used_date,
    used.last_used_date,
from catalog
full join used using (feature)
