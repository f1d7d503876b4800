-- The measures of int_retention__people_months summed by slice, for the months of the bridge. What an export
-- that never arrived would have to tell is null, not zero.
{%- set told_by = {
    "opening_active_accounts": "usage",
    "silent_accounts": "usage",
    "silent_paying_accounts": "usage",
    "opening_active_users": "usage",
    "silent_users": "usage",
    "champion_accounts": "users",
    "champion_lost_accounts": "users",
    "csm_changes": "assignments",
} %}
with arrived as (
    select
        {{ has_arrived([["product", "events"], ["ravenstack", "feature_usage"]]) }} as usage,
        {{ has_arrived([["crm", "users"]]) }} as users,
        {{ has_arrived([["people", "csm_assignments"]]) }} as assignments,
),

lost as (
    select
        slice_dimension,
        slice_value,
        period_start,
        {%- for measure in told_by %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
    from {{ ref('int_retention__people_months') }}
    inner join {{ ref('int_accounts__slices') }} using (account_id)
    group by all
)

select
    months.slice_dimension,
    months.slice_value,
    months.period_start,
    months.period_end,
    months.opening_accounts,
    {%- for measure, export in told_by.items() %}
    if(arrived.{{ export }}, coalesce(lost.{{ measure }}, 0), null)::bigint as {{ measure }},
    {%- endfor %}
    months.is_complete_period,
from {{ ref('int_revenue__slice_months') }} as months
cross join arrived
left join lost using (slice_dimension, slice_value, period_start)
