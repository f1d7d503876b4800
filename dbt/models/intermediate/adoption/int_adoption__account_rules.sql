-- Every close at which an account pays, judged by the rule of then and by the rule of now: where the two
-- differ, the rule has changed; where one of them moves, the customer has.
{%- set share_of_subjects = var("min_share_of_users") or 1 %}
with months as (
    select period_start, close_at, close_date,
    from {{ ref('int_quality__months') }}
),

-- A rule for the segment of the account goes before one for all, the newest in force before an older one.
segment_rules as (
    select
        segments.segment,
        months.period_start,
        bases.rule_basis,
        rules.* exclude (segment),
        rules.segment as rule_segment,
    from (
        select distinct slice_value as segment
        from {{ ref('int_accounts__slices') }}
        where slice_dimension = 'segment'
    ) as segments
    cross join months
    cross join (select unnest(['then', 'now']) as rule_basis) as bases
    inner join {{ ref('adoption_rules') }} as rules
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
    from closes
    cross join (select unnest(['then', 'now']) as rule_basis) as bases
    left join segment_rules using (segment, period_start, rule_basis)
),

accounts as (
    select *
    from {{ ref('int_adoption__month_rollup') }}
    where grain = 'account_rule'
),

told as (
    select account_id, min(first_event_date) as first_date,
    from {{ ref('int_usage__month_rollup') }}
    where grain = 'account' and first_event_date is not null
    group by all
),

told_events as (
    select event_name, min(first_event_date) as first_date,
    from {{ ref('int_usage__month_rollup') }}
    where grain = 'event' and first_event_date is not null
    group by all
),

verdicts as (
    select
        judged_by.*,
        coalesce(accounts.window_logins, 0) as window_logins,
        coalesce(accounts.weeks_reached, 0) as weeks_reached,
        coalesce(accounts.window_sessions, 0) as window_sessions,
        coalesce(accounts.window_key_sessions, 0) as window_key_sessions,
        case
            when accounts.account_id is null then false
            when accounts.subjects is null then null
            when accounts.subjects = 0 then false
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
            when not {{ has_arrived(exports_of('usage')) }}
                then 'no_usage_export'
            when not is_told then 'no_usage_of_account'
            when not are_logins_told then 'no_events_of_rule'
            when is_fulfilled is null then 'no_detail'
        end as eligibility_reason,
    from judged_by
    left join accounts
        on
            judged_by.account_id = accounts.account_id
            and judged_by.period_start = accounts.period_start
            and judged_by.rule_version = accounts.rule_version
            and judged_by.rule_segment is not distinct from accounts.rule_segment
    left join told on judged_by.account_id = told.account_id
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
    -- What was not told is not zero.
    {%- for measure in ["window_weeks", "window_logins", "weeks_reached", "window_sessions", "window_key_sessions"] %}
    if(are_logins_told, {{ measure }}, null) as {{ measure }},
    {%- endfor %}
from verdicts
