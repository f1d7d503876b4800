with medians as (
    select
        account_id,
        period_start,
        median(first_reply_business_minutes) as median_first_reply_business_minutes,
        median(resolution_business_minutes) as median_resolution_business_minutes,
    from {{ ref('int_support__tickets') }}
    where not is_excluded
    group by all
),

measured as (
    select
        account_months.*,
        usage_months.active_users,
        median_first_reply_business_minutes,
        median_resolution_business_minutes,
        is_complete_period,
        period_end,
    from {{ ref('int_support__account_months') }} as account_months
    inner join {{ ref('int_quality__months') }} using (period_start)
    left join medians using (account_id, period_start)
    left join {{ ref('int_usage__account_months') }} as usage_months using (account_id, period_start)
    where account_id is not null
)

select
    account_id,
    exposure_days,
    onboarding_exposure_days,
    active_users,
    tickets,
    onboarding_tickets,
    high_priority_tickets as high_priority,
    escalations,
    reopens,
    reopened_tickets,
    unreplied_tickets,
    solved_tickets,
    backlog_at_close as backlog,
    timed_first_replies,
    first_reply_minutes,
    first_reply_business_minutes,
    timed_resolutions,
    resolution_minutes,
    resolution_business_minutes,
    rated,
    satisfied,
    {{ metric('contact_rate') }} as tickets_per_active_user,
    {{ metric('ticket_rate') }} as ticket_rate,
    {{ metric('escalation_rate') }} as escalation_rate,
    {{ metric('reopen_rate') }} as reopen_rate,
    {{ metric('mean_first_reply_business_minutes') }} as mean_first_reply_business_minutes,
    median_first_reply_business_minutes,
    {{ metric('mean_resolution_business_minutes') }} as mean_resolution_business_minutes,
    median_resolution_business_minutes,
    {{ metric('ticket_csat') }} as ticket_csat,
    {{ wilson_bound('satisfied', 'rated', '-') }} as ticket_csat_ci_low,
    {{ wilson_bound('satisfied', 'rated', '+') }} as ticket_csat_ci_high,
    case when coalesce(active_users, 0) = 0 then 'no_active_users' end as reason_null,
    is_complete_period,
    period_start,
    period_end,
from measured
