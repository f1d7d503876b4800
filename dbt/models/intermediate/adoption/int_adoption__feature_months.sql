-- The accounts behind a feature, which is a slice of its own here. Where nobody says who may use it, the
-- accounts that pay stand for those who are entitled, and what needs entitlement is null.
with features as (
    select
        *,
        bool_and(entitlement = 'unknown') over (partition by feature, period_start) as is_entitlement_unknown,
        entitlement = if(is_entitlement_unknown, 'unknown', 'entitled')
        and (entitlement = 'entitled' or is_paying) as is_candidate,
    from {{ ref('int_adoption__account_features') }}
),

counted as (
    select
        feature,
        period_start,
        is_entitlement_unknown,
        count(*) filter (entitlement = 'entitled') as entitled_accounts,
        count(*) filter (is_candidate and state = 'tried') as tried,
        count(*) filter (is_candidate and state = 'adopted') as adopted,
        count(*) filter (is_candidate and state = 'dropped') as dropped,
        count(*) filter (is_candidate and state = 'never_tried') as never_tried,
        count(*) filter (is_used) as used_accounts,
        count(*) filter (entitlement = 'not_entitled') as not_entitled,
        count(*) filter (entitlement = 'not_entitled' and is_paying) as not_entitled_paying,
        count(*) filter (entitlement = 'unknown') as unknown_entitlement,
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
    tried + adopted + dropped as ever_tried,
    used_accounts,
    unknown_entitlement,
    months.is_complete_period,
from counted
inner join {{ ref('int_quality__months') }} as months using (period_start)
