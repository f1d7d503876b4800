-- Every close at which an account pays, judged by the rule of then and by the rule of now: where the two
-- differ, the rule has changed; where one of them moves, the customer has.
{%- set share_of_subjects = var("min_share_of_users") or 1 %}
{%- set subject = "user_id" if var("min_share_of_users") else "account_id" %}
with rules as (
    select * replace (cast(min_share_of_sessions as decimal(9, 6)) as min_share_of_sessions),
    from {{ ref('adoption_rules') }}
),

months as (
    select
        period_start,
        close_at,
        close_date,
        {{ week_start_of('close_date') }} as window_to,
    from {{ ref('int_quality__months') }}
),

-- A rule for the segment of the account goes before one for all, the newest in force before an older one.
segment_rules as (
    select segments.segment, months.period_start, bases.rule_basis, rules.* exclude (segment),
    from (
        select distinct slice_value as segment
        from {{ ref('int_accounts__slices') }}
        where slice_dimension = 'segment'
    ) as segments
    cross join months
    cross join (select unnest(['then', 'now']) as rule_basis) as bases
    inner join rules
        on
            coalesce(rules.segment, segments.segment) = segments.segment
            and rules.valid_from < if(bases.rule_basis = 'then', months.close_date, {{ as_of_date() }} + 1)
    qualify row_number() over (
        partition by segments.segment, months.period_start, bases.rule_basis
        order by rules.segment is null, rules.valid_from desc
    ) = 1
),

closes as (
    select
        paying.account_id,
        paying.period_start,
        slices.slice_value as segment,
        months.close_date,
        months.window_to,
        date_diff('day', {{ local_date('spells.started_at') }}, months.close_date) as tenure_days,
    from {{ ref('int_revenue__account_months') }} as paying
    inner join months using (period_start)
    inner join {{ ref('int_accounts__slices') }} as slices
        on paying.account_id = slices.account_id and slices.slice_dimension = 'segment'
    asof left join {{ ref('int_revenue__account_spells') }} as spells
        on paying.account_id = spells.account_id and months.close_at > spells.started_at
    where paying.closing_accounts = 1
),

judged_by as (
    select
        closes.*,
        bases.rule_basis,
        segment_rules.* exclude (segment, period_start, rule_basis),
        closes.window_to - 7 * segment_rules.window_weeks::integer as window_from,
    from closes
    cross join (select unnest(['then', 'now']) as rule_basis) as bases
    left join segment_rules using (segment, period_start, rule_basis)
),

-- The events that rules ask for by week, and, without a name, all that happened in it.
weeks as (
    select
        account_id,
        {{ subject }} as subject,
        event_name,
        {{ week_start_of('occurred_date') }} as week_start,
        sum(events) as events,
        sum(sessions) as sessions,
    from {{ ref('int_usage__user_day_events') }}
    where event_name in (select unnest([login_event, key_event]) from rules)
    group by all
    union all by name
    select
        account_id,
        {{ subject }} as subject,
        {{ week_start_of('occurred_date') }} as week_start,
        sum(events) as events,
        sum(sessions) as sessions,
    from {{ ref('int_usage__user_days') }}
    group by all
),

subjects as (
    select
        windows.*,
        weeks.subject,
        coalesce(sum(weeks.events) filter (weeks.event_name = login_event), 0) as logins,
        count(*) filter (weeks.event_name = login_event and weeks.events >= min_logins_per_week) as weeks_reached,
        coalesce(sum(weeks.sessions) filter (weeks.event_name is null), 0) as sessions,
        coalesce(sum(weeks.sessions) filter (weeks.event_name = key_event), 0) as key_sessions,
    from (
        select distinct
            account_id, period_start, rule_version, login_event, min_logins_per_week, min_weeks, key_event,
            min_share_of_sessions, window_from, window_to,
        from judged_by
    ) as windows
    inner join weeks
        on
            windows.account_id = weeks.account_id
            and weeks.week_start >= windows.window_from
            and weeks.week_start < windows.window_to
    group by all
),

-- Null where all hangs on the sessions and none is told.
fulfilments as (
    select
        *,
        weeks_reached >= min_weeks
        and case
            when min_share_of_sessions = 0 then true
            when sessions > 0 then key_sessions >= min_share_of_sessions * sessions
        end as is_fulfilled,
    from subjects
),

accounts as (
    select
        account_id,
        period_start,
        rule_version,
        sum(logins)::bigint as logins,
        max(weeks_reached) as weeks_reached,
        sum(sessions)::bigint as sessions,
        sum(key_sessions)::bigint as key_sessions,
        count(subject) as subjects,
        count(*) filter (subject is not null and is_fulfilled) as subjects_fulfilling,
        count(*) filter (subject is not null and is_fulfilled is null) as subjects_untold,
    from fulfilments
    group by all
),

told as (
    select account_id, min(occurred_date) as first_date,
    from {{ ref('int_usage__account_days') }}
    where events > 0
    group by all
),

told_events as (
    select event_name, min(occurred_date) as first_date,
    from {{ ref('int_usage__user_day_events') }}
    where events > 0
    group by all
),

verdicts as (
    select
        judged_by.*,
        coalesce(accounts.logins, 0) as window_logins,
        coalesce(accounts.weeks_reached, 0) as weeks_reached,
        coalesce(accounts.sessions, 0) as window_sessions,
        coalesce(accounts.key_sessions, 0) as window_key_sessions,
        case
            when accounts.account_id is null then false
            when accounts.subjects = 0 then null
            when accounts.subjects_fulfilling >= {{ share_of_subjects }} * accounts.subjects then true
            when
                accounts.subjects_fulfilling + accounts.subjects_untold
                < {{ share_of_subjects }} * accounts.subjects
                then false
        end as is_fulfilled,
        coalesce(told.first_date < close_date, false) as is_told,
        is_told and coalesce(least(told_logins.first_date, told_keys.first_date) < close_date, false)
            as are_logins_told,
        case
            when judged_by.rule_version is null then 'no_rule'
            when tenure_days < min_tenure_days then 'too_young'
            when not {{ has_arrived([['product', 'events'], ['ravenstack', 'feature_usage']]) }}
                then 'no_usage_export'
            when not is_told then 'no_usage_of_account'
            when not are_logins_told then 'no_events_of_rule'
            when is_fulfilled is null then 'no_detail'
        end as eligibility_reason,
    from judged_by
    left join accounts using (account_id, period_start, rule_version)
    left join told using (account_id)
    left join told_events as told_logins on judged_by.login_event = told_logins.event_name
    left join told_events as told_keys on judged_by.key_event = told_keys.event_name
)

select
    account_id,
    period_start,
    rule_basis,
    rule_version,
    case eligibility_reason
        when 'too_young' then 'not_eligible'
        else if(eligibility_reason is null, 'eligible', 'unknown')
    end as eligibility,
    eligibility_reason,
    if(eligibility_reason is null, is_fulfilled, null) as is_fully_adopted,
    tenure_days,
    window_from,
    window_to,
    -- What was not told is not zero.
    {%- for measure in ["window_weeks", "window_logins", "weeks_reached", "window_sessions", "window_key_sessions"] %}
    if(are_logins_told, {{ measure }}, null) as {{ measure }},
    {%- endfor %}
from verdicts
