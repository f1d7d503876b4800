-- One account on every side, as it stands at the as-of day: what a customer success manager opens first.
-- A side on which no export has told anything is null, never zero.
{%- set of_month = "where period_start = " ~ as_of_month() %}
with arrived as (
    select
        {{ has_arrived(exports_of('subscriptions')) }} as subscriptions,
        {{ has_arrived(exports_of('tickets')) }} as tickets,
        {{ has_arrived([["communications", "touchpoints"]]) }} as contacts,
        {{ has_arrived([["crm", "desired_outcomes"]]) }} as outcomes,
),

money as (
    select account_id, opening_mrr, closing_seats as seats,
    from {{ ref('int_revenue__account_months') }}
    {{ of_month }}
),

spells as (
    select
        account_id,
        count(ended_at) as churns,
        arg_max(coalesce(reason_code, 'unknown'), ended_at) as last_churn_reason,
    from {{ ref('int_revenue__account_spells') }}
    group by all
),

onboarding as (
    select
        account_id,
        count(*) filter (is_required) as required_milestones,
        count(*) filter (is_required and status = 'reached') as reached_milestones,
        list(milestone order by milestone) filter (status = 'overdue') as overdue_milestones,
    from {{ source('derived', 'onboarding_milestones') }}
    group by all
),

usage as (
    select account_id, events_28d, active_users_28d, days_since_last_event,
    from {{ ref('int_usage__account_windows') }}
    {{ of_month }}
),

adoption as (
    select account_id, adoption_band, frequency, breadth, depth,
    from {{ ref('int_adoption__account_months') }}
    {{ of_month }}
),

tickets as (
    select
        account_id,
        count(*) filter (created_date > {{ as_of_date() }} - 90) as tickets_90d,
        count(*) filter (solved_at is null) as open_tickets,
        count(*) filter (solved_at is null and is_escalated) as open_escalations,
    from {{ ref('int_support__tickets') }}
    where not is_excluded
    group by all
),

contacts as (
    select account_id, touches_90d, last_touch_at, last_touch_days,
    from {{ ref('int_contacts__account_months') }}
    {{ of_month }}
),

answers as (
    select
        account_id,
        arg_max(score, (responded_at, response_id)) as last_nps_answer,
        arg_max(score_class, (responded_at, response_id)) as last_nps_class,
        max(responded_at) as last_nps_at,
    from {{ source('derived', 'survey_responses') }}
    where metric = 'nps' and score_class is not null and not is_anonymous
    group by all
),

outcomes as (
    select
        account_id,
        count(*) as desired_outcomes,
        count(*) filter (status in ('achieved', 'achieved_late')) as achieved_outcomes,
        count(*) filter (status = 'overdue') as overdue_outcomes,
    from {{ ref('int_accounts__desired_outcomes') }}
    group by all
),

objectives as (
    select segment, list(objective_id order by objective_id) filter (status = 'off_track') as off_track,
    from {{ ref('int_objectives__attainment') }}
    {{ of_month }}
    group by all
)

select
    accounts.account_id,
    accounts.parent_account_id,
    {{ published_name("names.account_name") }} as account_name,
    {{ published_name("names.csm_owner") }} as csm_owner,
    accounts.segment,
    accounts.plan_tier,
    accounts.country,
    accounts.acquisition_channel,
    accounts.industry,
    stages.lifecycle_stage,
    accounts.fit_class,
    fit.recommended_treatment,
    accounts.mrr,
    (accounts.mrr - coalesce(money.opening_mrr, 0))::decimal(38, 6) as mrr_change,
    money.seats,
    if(arrived.subscriptions, coalesce(spells.churns, 0), null) as churns,
    spells.last_churn_reason,
    outlook.is_past_due,
    health.health_score,
    health.effective_band as health_band,
    health.weakest_component as weakest_health_component,
    health.coverage as health_coverage,
    usage.events_28d,
    usage.active_users_28d,
    usage.days_since_last_event,
    adoption.adoption_band,
    adoption.frequency as adoption_frequency,
    adoption.breadth as adoption_breadth,
    adoption.depth as adoption_depth,
    onboarding.required_milestones,
    onboarding.reached_milestones,
    onboarding.overdue_milestones,
    if(arrived.tickets, coalesce(tickets.tickets_90d, 0), null) as tickets_90d,
    if(arrived.tickets, coalesce(tickets.open_tickets, 0), null) as open_tickets,
    if(arrived.tickets, coalesce(tickets.open_escalations, 0), null) as open_escalations,
    if(arrived.contacts, coalesce(contacts.touches_90d, 0), null) as touches_90d,
    contacts.last_touch_days,
    answers.last_nps_answer,
    answers.last_nps_class,
    if(arrived.outcomes, coalesce(outcomes.desired_outcomes, 0), null) as desired_outcomes,
    if(arrived.outcomes, coalesce(outcomes.achieved_outcomes, 0), null) as achieved_outcomes,
    if(arrived.outcomes, coalesce(outcomes.overdue_outcomes, 0), null) as overdue_outcomes,
    objectives.off_track as segment_objectives_off_track,
    accounts.is_paying,
    accounts.is_in_accounts_export,
    accounts.signed_up_at,
    accounts.first_paid_at,
    accounts.churned_at,
    outlook.cancel_requested_at,
    outlook.ends_at,
    contacts.last_touch_at,
    answers.last_nps_at,
    outlook.renewal_date,
from {{ ref('dim_accounts') }} as accounts
cross join arrived
left join {{ ref('int_accounts__names') }} as names using (account_id)
left join {{ ref('int_accounts__lifecycle_stages') }} as stages using (account_id)
left join {{ ref('int_accounts__fit') }} as fit using (account_id)
left join money using (account_id)
left join spells using (account_id)
left join {{ ref('int_revenue__account_outlook') }} as outlook using (account_id)
left join (select * from {{ ref('int_health__account_months') }} {{ of_month }}) as health using (account_id)
left join usage using (account_id)
left join adoption using (account_id)
left join onboarding using (account_id)
left join tickets using (account_id)
left join contacts using (account_id)
left join answers using (account_id)
left join outcomes using (account_id)
-- Of an objective, `all` is the whole, whatever a segment is called.
left join objectives on accounts.segment = objectives.segment and accounts.segment <> 'all'
