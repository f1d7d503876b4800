-- Tickets as they stand at the as-of day. What has not happened by then is null: an unanswered ticket has
-- no time to its first reply, an open one no time to resolution. Times that contradict each other are kept
-- and flagged, and give no duration.
{%- set moments = {"created": "created_at", "replied": "first_replied_at", "solved": "solved_at"} %}
with tickets as (
    {{ newest_version('support', 'tickets', 'ticket_id', updated_at = 'updated_at', with_system = true) }}
    union all by name
    {{ newest_snapshot([['ravenstack', 'support_tickets']], with_system = true) }}
),

by_as_of as (
    select
        * replace (
            if(first_replied_at < {{ as_of_end() }}, first_replied_at, null) as first_replied_at,
            if(solved_at < {{ as_of_end() }}, solved_at, null) as solved_at
        ),
    from tickets
    where created_at < {{ as_of_end() }}
),

known as (
    select
        tickets.* exclude (calendar, satisfaction_comment, requester_user_id, updated_at),
        coalesce(calendars.calendar, {{ text(var("default_calendar")) }}) as calendar,
        {{ local_date('tickets.created_at') }} as created_date,
        if(solved_at is null, null, {{ local_date('greatest(solved_at, created_at)') }}) as solved_date,
        starts.started_date,
        tickets.calendar is not null and calendars.calendar is null as is_of_unknown_calendar,
        tickets.account_id is not null and accounts.account_id is null as is_of_unknown_account,
        coalesce(tickets.created_at < accounts.signed_up_at, false) as is_before_sign_up,
        coalesce(first_replied_at < created_at, false) as is_replied_before_created,
        coalesce(solved_at < created_at, false) as is_solved_before_created,
    from by_as_of as tickets
    left join (select distinct calendar from {{ ref('business_hours') }}) as calendars
        on tickets.calendar = calendars.calendar
    left join {{ ref('int_accounts__accounts') }} as accounts on tickets.account_id = accounts.account_id
    left join {{ ref('int_onboarding__starts') }} as starts on tickets.account_id = starts.account_id
),

-- Open time of the ticket's calendar up to each of its moments (microseconds).
measured as (
    select
        known.*,
        {%- for moment, at in moments.items() %}
        coalesce(
            {{ moment }}.microseconds_before
            + epoch_us(least(known.{{ at }}, {{ moment }}.closed_at)) - epoch_us({{ moment }}.opened_at),
            0
        ) as open_until_{{ moment }},
        {%- endfor %}
    from known
    {%- for moment, at in moments.items() %}
    asof left join {{ ref('int_support__open_hours') }} as {{ moment }}
        on known.calendar = {{ moment }}.calendar and known.{{ at }} >= {{ moment }}.opened_at
    {%- endfor %}
)

select
    system,
    ticket_id,
    account_id,
    calendar,
    status,
    priority,
    channel,
    case
        when started_date is null then 'unknown'
        when created_date < started_date then 'before_start'
        when created_date < started_date + {{ var("onboarding_days") }} then 'onboarding'
        else 'later'
    end as stage,
    {%- for moment, measure, is_wrong in [("replied", "first_reply", "is_replied_before_created"), ("solved", "resolution", "is_solved_before_created")] %}
    {%- set at = moments[moment] %}
    cast(
        if({{ is_wrong }}, null, (epoch_us({{ at }}) - epoch_us(created_at)) / 60e6) as decimal(18, 6)
    ) as {{ measure }}_minutes,
    cast(
        if({{ is_wrong }} or {{ at }} is null, null, (open_until_{{ moment }} - open_until_created) / 60e6)
        as decimal(18, 6)
    ) as {{ measure }}_business_minutes,
    {%- endfor %}
    reopen_count,
    satisfaction_score,
    coalesce(satisfaction_score between 1 and {{ var("ticket_csat_scale_max") }}, false) as is_rated,
    if(is_rated, satisfaction_score >= {{ var("ticket_csat_satisfied_from") }}, null) as is_satisfied,
    is_escalated,
    {{ is_named("lower(priority)", var("high_priorities")) }} as is_high_priority,
    {{ is_named("lower(status)", var("excluded_ticket_statuses")) }} as is_excluded,
    is_before_sign_up,
    is_of_unknown_account,
    is_of_unknown_calendar,
    is_replied_before_created,
    is_solved_before_created,
    satisfaction_score is not null and not is_rated as is_rated_off_scale,
    created_at,
    first_replied_at,
    solved_at,
    created_date,
    solved_date,
    {{ month_of('created_date') }} as period_start,
from measured
