-- The measures of int_adoption__account_months summed by slice, a row for every month in which any account
-- is known.
{%- set counts = [
    "accounts", "eligible", "adopted", "unknown", "not_eligible",
    "eligible_now", "adopted_now", "unknown_now", "not_eligible_now",
] %}
{%- set judged_sums = [
    "window_weeks", "window_logins", "window_sessions", "window_key_sessions",
    "entitled_features", "used_entitled_features",
] %}
{%- set user_sums = ["licensed_users", "healthy_users"] %}
with adopted as (
    select
        slice_dimension,
        slice_value,
        period_start,
        count(*) as accounts,
        {%- for basis in ["", "_now"] %}
        count(*) filter (eligibility{{ basis }} = 'eligible') as eligible{{ basis }},
        count(*) filter (is_fully_adopted{{ basis }}) as adopted{{ basis }},
        count(*) filter (eligibility{{ basis }} = 'unknown') as unknown{{ basis }},
        count(*) filter (eligibility{{ basis }} = 'not_eligible') as not_eligible{{ basis }},
        {%- endfor %}
        {%- for measure in judged_sums %}
        sum({{ measure }}) filter (eligibility = 'eligible') as {{ measure }},
        {%- endfor %}
        -- Licences of accounts whose users are not told of would read as licences without a healthy user.
        {%- for measure in user_sums %}
        sum({{ measure }}) filter (eligibility = 'eligible' and depth is not null) as {{ measure }},
        {%- endfor %}
    from {{ ref('int_adoption__account_months') }}
    inner join {{ ref('int_accounts__slices') }} using (account_id)
    group by all
)

select
    slice_dimension,
    slice_value,
    period_start,
    period_end,
    {%- for measure in counts %}
    coalesce({{ measure }}, 0) as {{ measure }},
    {%- endfor %}
    {%- for measure in judged_sums + user_sums %}
    if(coalesce(eligible, 0) = 0, 0, {{ measure }})::bigint as {{ measure }},
    {%- endfor %}
    is_complete_period,
from ({{ slice_months("adopted") }})
left join adopted using (slice_dimension, slice_value, period_start)
