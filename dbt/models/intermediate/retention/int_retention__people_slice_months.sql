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
        {{ has_arrived(exports_of('usage')) }} as usage,
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
    from ({{ by_slice(ref('int_retention__people_months')) }})
    group by all
),

-- An account that usage alone knows is in no slice of the revenue but the total.
grid as (
    select slice_dimension, slice_value, period_start, period_end, opening_accounts, is_complete_period,
    from {{ ref('int_revenue__slice_months') }}
    union all
    select lost.slice_dimension, lost.slice_value, period_start, period_end, 0, is_complete_period,
    from lost
    inner join {{ ref('int_quality__months') }} using (period_start)
    semi join {{ ref('int_revenue__slice_months') }} as known using (period_start)
    anti join {{ ref('int_revenue__slice_months') }} as same using (slice_dimension, slice_value, period_start)
)

select
    slice_dimension,
    slice_value,
    period_start,
    period_end,
    opening_accounts,
    {%- for measure, export in told_by.items() %}
    if(arrived.{{ export }}, coalesce(lost.{{ measure }}, 0), null)::bigint as {{ measure }},
    {%- endfor %}
    is_complete_period,
from grid
cross join arrived
left join lost using (slice_dimension, slice_value, period_start)
