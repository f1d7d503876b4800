-- What an account asked of support in a month. A ticket's facts are dated by its opening, so that every
-- share is one of the tickets opened in the month; solving and the backlog are dated by when they happen.
-- Exposure is the account's life: from its onboarding start or first paid day, without the time after it left.
{%- set counted = {
    "tickets": "count(*)",
    "onboarding_tickets": "count(*) filter (stage = 'onboarding')",
    "high_priority_tickets": "count(*) filter (is_high_priority)",
    "escalations": "count(*) filter (is_escalated)",
    "escalation_known_tickets": "count(is_escalated)",
    "reopens": "sum(reopen_count)",
    "reopened_tickets": "count(*) filter (reopen_count > 0)",
    "reopen_known_tickets": "count(reopen_count)",
    "unreplied_tickets": "count(*) filter (first_replied_at is null)",
    "timed_first_replies": "count(first_reply_minutes)",
    "first_reply_minutes": "sum(first_reply_minutes)",
    "first_reply_business_minutes": "sum(first_reply_business_minutes)",
    "timed_resolutions": "count(resolution_minutes)",
    "resolution_minutes": "sum(resolution_minutes)",
    "resolution_business_minutes": "sum(resolution_business_minutes)",
    "rated": "count(*) filter (is_rated)",
    "satisfied": "count(*) filter (is_satisfied)",
} %}
with tickets as (
    select * from {{ ref('int_support__tickets') }}
    where not is_excluded
),

-- The day on which it left is still a day of its life, unless it left at its first instant; a day is
-- counted once, also where an account leaves and comes back on it.
spells as (
    select
        account_id,
        spell_number = 1 as is_first,
        {{ local_date('ended_at - interval 1 microsecond') }} + 1 as to_date,
        greatest({{ local_date('started_at') }}, lag(to_date) over by_account) as from_date,
    from {{ ref('int_revenue__account_spells') }}
    window by_account as (partition by account_id order by spell_number)
),

-- Without a tickets export nobody can be said to have asked for nothing.
lives as (
    select
        account_id,
        if(coalesce(is_first, true), least(started_date, from_date), from_date) as from_date,
        least(to_date, {{ as_of_date() }} + 1) as to_date,
        started_date,
    from {{ ref('int_onboarding__starts') }}
    full join spells using (account_id)
    where {{ has_arrived(exports_of('tickets')) }}
),

exposures as (
    select
        account_id,
        period_start,
        greatest(from_date, period_start) as exposed_from,
        least(to_date, period_end) as exposed_to,
        greatest(exposed_from, started_date) as onboarding_from,
        least(exposed_to, started_date + {{ var("onboarding_days") }}) as onboarding_to,
        started_date,
    from lives
    inner join {{ ref('int_quality__months') }} on from_date < period_end and to_date > period_start
    where from_date < to_date
),

facts as (
    select
        account_id,
        period_start,
        sum(exposed_to - exposed_from) as exposure_days,
        sum(greatest(onboarding_to - onboarding_from, 0)) filter (started_date is not null)
            as onboarding_exposure_days,
    from exposures
    group by all
    union all by name
    select
        account_id,
        period_start,
        {%- for measure, expression in counted.items() %}
        {{ expression }} as {{ measure }},
        {%- endfor %}
    from tickets
    group by all
    union all by name
    select
        account_id,
        {{ month_of('solved_date') }} as period_start,
        count(*) as solved_tickets,
    from tickets
    where solved_at is not null
    group by all
    union all by name
    -- The months through which a backlog may be carried.
    select account_id, months.period_start,
    from (select account_id, min(period_start) as first_month from tickets group by all) as firsts
    inner join {{ ref('int_quality__months') }} as months on months.period_start >= first_month
),

months as (
    select
        account_id,
        period_start,
        {%- for measure in ["exposure_days", "onboarding_exposure_days"] + counted.keys() | list + ["solved_tickets"] %}
        {%- set is_minutes = measure.endswith("_minutes") %}
        coalesce(sum({{ measure }}), 0)::{{ "decimal(38, 6)" if is_minutes else "bigint" }} as {{ measure }},
        {%- endfor %}
    from facts
    group by all
),

carried as (
    select
        *,
        (sum(tickets - solved_tickets) over (partition by account_id order by period_start))::bigint
            as backlog_at_close,
    from months
)

select *
from carried
where exposure_days > 0 or tickets > 0 or solved_tickets > 0 or backlog_at_close > 0
