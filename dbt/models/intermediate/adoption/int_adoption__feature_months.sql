-- The accounts behind a feature, which is a slice of its own here. Where nobody says who may use it, the
-- accounts that pay stand for those who are entitled, and what needs entitlement is null.
with entitled as (
    select feature, period_start, sum(accounts)::bigint as entitled_accounts,
    from (
        select tiers, period_start, count(*) as accounts,
        from {{ ref('int_adoption__account_tiers') }}
        group by all
    )
    inner join {{ ref('int_adoption__entitlements') }} using (tiers, period_start)
    where is_entitled
    group by all
),

-- Counted first by what decides, of which there are few combinations.
alike as (
    select
        feature,
        period_start,
        entitlement,
        state,
        is_paying,
        is_used,
        count(*) as accounts,
    from {{ ref('int_adoption__account_features') }}
    group by all
),

features as (
    select
        *,
        entitled_accounts is null
        and bool_and(entitlement = 'unknown') over (partition by feature, period_start)
            as is_entitlement_unknown,
        entitlement = if(is_entitlement_unknown, 'unknown', 'entitled')
        and (entitlement = 'entitled' or is_paying) as is_candidate,
    from alike
    full join entitled using (feature, period_start)
),

{%- set counts = {
    "tried": "is_candidate and state = 'tried'",
    "adopted": "is_candidate and state = 'adopted'",
    "dropped": "is_candidate and state = 'dropped'",
    "ever_tried": "is_candidate",
    "used_accounts": "is_used",
    "not_entitled": "entitlement = 'not_entitled'",
    "not_entitled_paying": "entitlement = 'not_entitled' and is_paying",
    "unknown_entitlement": "entitlement = 'unknown'",
} %}
counted as (
    select
        feature,
        period_start,
        is_entitlement_unknown,
        coalesce(entitled_accounts, 0) as entitled_accounts,
        {%- for name, condition in counts.items() %}
        coalesce(sum(accounts) filter ({{ condition }}), 0)::bigint as {{ name }},
        {%- endfor %}
    from features
    group by all
)

select
    'feature' as slice_dimension,
    feature as slice_value,
    period_start,
    months.period_end,
    {%- for measure in ["entitled_accounts", "never_tried", "not_entitled", "not_entitled_paying"] %}
    if(is_entitlement_unknown, null, {{ measure }}) as {{ measure }},
    {%- endfor %}
    tried,
    adopted,
    dropped,
    ever_tried,
    used_accounts,
    unknown_entitlement,
    months.is_complete_period,
from (select *, entitled_accounts - ever_tried as never_tried from counted)
inner join {{ ref('int_quality__months') }} as months using (period_start)
