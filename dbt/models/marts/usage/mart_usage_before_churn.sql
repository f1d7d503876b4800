-- A paying account-month ends in churn or goes on. Looking back from both, at accounts of the same tenure,
-- their use at the last closes before says whether leaving shows. Read at month closes, so nothing of the
-- month of churn itself, which those who stayed have no like of, takes part.
with observations as (
    select
        account_id,
        period_start as observed_month,
        if(churned_accounts = 1, 'churned', 'retained') as outcome,
        date_diff('month', cohort_start, period_start) as tenure_months,
    from {{ ref('int_revenue__account_months') }}
    inner join {{ ref('int_quality__months') }} using (period_start)
    where opening_accounts = 1 and is_complete_period
),

looks as (
    select
        *,
        (observed_month - to_months(months_before))::date as period_start,
        case
            when tenure_months <= 3 then '1-3'
            when tenure_months <= 6 then '4-6'
            when tenure_months <= 12 then '7-12'
            when tenure_months <= 24 then '13-24'
            else '25+'
        end as tenure_band,
    from observations
    cross join (select unnest([1, 2, 3]) as months_before)
),

summed as (
    select
        tenure_band,
        outcome,
        months_before,
        count(*) as account_months,
        count(events_28d) as observations,
        count(distinct account_id) filter (events_28d is not null) as accounts,
        {%- for measure in ["events", "active_days", "active_users", "logins", "key_actions"] %}
        coalesce(sum({{ measure }}_28d), 0)::bigint as {{ measure }}_28d,
        {%- endfor %}
        coalesce(sum(minutes_28d), 0)::decimal(38, 6) as minutes_28d,
        coalesce(sum(events_28d) filter (events_previous_28d is not null), 0)::bigint as compared_events_28d,
        coalesce(sum(events_previous_28d), 0)::bigint as events_previous_28d,
        count(*) filter (events_28d = 0) as unused_observations,
        count(days_since_last_event) as accounts_with_events,
        coalesce(sum(days_since_last_event), 0)::bigint as idle_days,
    from looks
    -- A close at which the account did not pay says nothing of how its leaving shows.
    semi join (
        from {{ ref('int_revenue__account_months') }} where closing_accounts = 1
    ) as paid using (account_id, period_start)
    left join (
        from {{ ref('int_usage__account_windows') }} where events_28d is not null
    ) as windows using (account_id, period_start)
    group by all
)

select
    *,
    {{ metric('mean_events_28d') }} as mean_events_28d,
    {{ metric('mean_active_days_28d') }} as mean_active_days_28d,
    {{ metric('mean_active_users_28d') }} as mean_active_users_28d,
    {{ metric('unused_rate') }} as unused_rate,
    {{ metric('usage_change_rate') }} as usage_change_rate,
    {{ metric('mean_days_since_last_event') }} as mean_days_since_last_event,
    if(observations = 0, 'no_data', null) as reason_null,
    observations < {{ var("min_cohort_customers") }} as is_small_sample,
from summed
