-- The measures of int_support__account_months summed by slice, a row for every month since the first.
{%- set measures = [
    "accounts", "exposure_days", "onboarding_accounts", "onboarding_exposure_days",
    "tickets", "onboarding_tickets", "high_priority_tickets", "escalations", "escalation_known_tickets",
    "reopens", "reopened_tickets", "reopen_known_tickets", "unreplied_tickets",
    "timed_first_replies", "first_reply_minutes", "first_reply_business_minutes",
    "timed_resolutions", "resolution_minutes", "resolution_business_minutes",
    "rated", "satisfied", "solved_tickets", "backlog_at_close", "active_users",
] %}
with accounts as (
    select
        *,
        (exposure_days > 0)::integer as accounts,
        (onboarding_exposure_days > 0)::integer as onboarding_accounts,
    from {{ ref('int_support__account_months') }}
    full join (
        select account_id, period_start, active_users,
        from {{ ref('int_usage__account_months') }}
        where exists (from {{ ref('int_support__account_months') }})
    ) using (account_id, period_start)
),

summed as (
    select
        slice_dimension,
        slice_value,
        period_start,
        {%- for measure in measures %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
    from ({{ by_slice("accounts") }})
    group by all
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
from ({{ slice_months("summed") }})
left join summed using (slice_dimension, slice_value, period_start)
