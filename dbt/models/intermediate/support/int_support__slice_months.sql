-- The measures of int_support__account_months summed by slice, a row for every month since the first. A
-- ticket of no account, or of one that nothing else knows, is in the total and in each unknown.
{%- set measures = [
    "exposure_days", "onboarding_exposure_days",
    "tickets", "onboarding_tickets", "high_priority_tickets", "escalations", "escalation_known_tickets",
    "reopens", "reopened_tickets", "reopen_known_tickets", "unreplied_tickets",
    "timed_first_replies", "first_reply_minutes", "first_reply_business_minutes",
    "timed_resolutions", "resolution_minutes", "resolution_business_minutes",
    "rated", "satisfied", "solved_tickets", "backlog_at_close", "active_users",
] %}
with accounts as (
    select *
    from {{ ref('int_support__account_months') }}
    full join (
        select account_id, period_start, active_users,
        from {{ ref('int_usage__account_months') }}
        where exists (from {{ ref('int_support__account_months') }})
    ) using (account_id, period_start)
),

dimensions as (
    select distinct slice_dimension from {{ ref('int_accounts__slices') }}
    union
    select 'total'
),

summed as (
    select
        slice_dimension,
        coalesce(slice_value, if(slice_dimension = 'total', 'all', 'unknown')) as slice_value,
        period_start,
        {%- for measure in measures %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
    from accounts
    cross join dimensions
    left join {{ ref('int_accounts__slices') }} using (account_id, slice_dimension)
    group by all
),

grid as (
    select
        slices.slice_dimension,
        slices.slice_value,
        months.period_start,
        months.period_end,
        months.is_complete_period,
    from (
        select slice_dimension, slice_value from {{ ref('int_accounts__slices') }}
        union
        select slice_dimension, slice_value from summed
    ) as slices
    cross join {{ ref('int_quality__months') }} as months
    where months.period_start >= (select min(period_start) from summed)
)

select
    slice_dimension,
    slice_value,
    period_start,
    period_end,
    {%- for measure in measures %}
    coalesce({{ measure }}, 0)
    {%- if measure.endswith("_minutes") %}::decimal(38, 6){% else %}::bigint{% endif %} as {{ measure }},
    {%- endfor %}
    is_complete_period,
from grid
left join summed using (slice_dimension, slice_value, period_start)
