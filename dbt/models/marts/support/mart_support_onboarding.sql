-- How onboarding ends for accounts that asked for much, little or no help in its first onboarding_days.
-- The outcome is read from the required milestones, as the throughput reads it.
with outcomes as (
    select
        account_id,
        any_value(started_date) + {{ var("onboarding_days") }} <= {{ as_of_date() }} + 1 as is_window_over,
        case
            when bool_or(status = 'churned_before') then 'left'
            when not bool_and(status = 'reached') then 'open'
            when bool_or(coalesce(days_to_reach > target_days, false)) then 'completed_late'
            else 'completed_in_target'
        end as outcome,
    from {{ source('derived', 'onboarding_milestones') }}
    where is_required and exists (from {{ ref('int_support__account_months') }})
    group by all
),

asked as (
    select account_id, sum(onboarding_tickets) as onboarding_tickets,
    from {{ ref('int_support__account_months') }}
    group by all
),

banded as (
    select
        is_window_over,
        case
            when coalesce(onboarding_tickets, 0) = 0 then '0'
            when onboarding_tickets <= 2 then '1-2'
            when onboarding_tickets <= 4 then '3-4'
            else '5+'
        end as ticket_band,
        outcome,
        count(*) as accounts,
    from outcomes
    left join asked using (account_id)
    group by all
),

grid as (
    select is_window_over, ticket_band, outcome,
    from (select distinct is_window_over from banded) as windows
    cross join (select unnest(['0', '1-2', '3-4', '5+']) as ticket_band) as bands
    cross join (
        select unnest(['completed_in_target', 'completed_late', 'open', 'left']) as outcome
    ) as every_outcome
),

counted as (
    select
        is_window_over,
        ticket_band,
        outcome,
        coalesce(accounts, 0) as accounts,
        sum(coalesce(accounts, 0)) over (partition by is_window_over, ticket_band)::bigint as accounts_of_band,
    from grid
    left join banded using (is_window_over, ticket_band, outcome)
)

select
    is_window_over,
    ticket_band,
    outcome,
    accounts,
    accounts_of_band,
    {{ metric('onboarding_outcome_rate') }} as outcome_rate,
    {{ wilson_bound('accounts', 'accounts_of_band', '-') }} as ci_low,
    {{ wilson_bound('accounts', 'accounts_of_band', '+') }} as ci_high,
    accounts_of_band < {{ var("min_cohort_customers") }} as is_small_sample,
from counted
