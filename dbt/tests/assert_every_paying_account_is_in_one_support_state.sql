-- Wherever tickets have arrived: every account that pays at a close, and no other.
with paying as (
    select account_id, period_start,
    from {{ ref('int_revenue__account_months') }}
    where closing_accounts = 1 and exists (from {{ ref('int_support__account_months') }})
),

states as (
    select account_id, period_start,
    from {{ ref('mart_support_adoption_state') }}
    where state in ('quiet_healthy', 'quiet_disengaged', 'noisy_engaged', 'noisy_struggling', 'unknown_usage')
)

(from paying except from states)
union all
(from states except from paying)
