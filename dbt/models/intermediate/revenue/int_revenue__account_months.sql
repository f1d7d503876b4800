-- An account's MRR from close to close, and how it moved. Losses are positive.
with closes as (
    select
        account_id,
        period_start,
        sum(mrr) as mrr,
        sum(revalued_mrr) as revalued_mrr,
        sum(seats) as seats,
        -- The rule of the plan-tier slice.
        arg_max(plan_tier, (started_at, mrr, subscription_id)) filter (mrr > 0) as plan_tier,
    from {{ ref('int_revenue__item_months') }}
    group by all
),

first_closes as (
    select account_id, min(period_start) as cohort_start
    from closes
    where mrr > 0
    group by all
),

states as (
    select
        first_closes.account_id,
        first_closes.cohort_start,
        months.period_start,
        -- Unknown where cover goes on at zero: then it stays what it was.
        case when closes.mrr > 0 then true when closes.mrr is null then false end as is_paying,
        coalesce(closes.mrr, 0) as closing_mrr,
        coalesce(closes.revalued_mrr, 0) as revalued_mrr,
        coalesce(closes.seats, 0) as seats,
        closes.plan_tier,
    from first_closes
    inner join {{ ref('int_quality__months') }} as months
        on months.period_start >= first_closes.cohort_start
    left join closes
        on first_closes.account_id = closes.account_id and months.period_start = closes.period_start
),

-- Where free_after_paid keeps an account on at zero, it is a customer as long as its cover goes on, on
-- the plan that was paid last.
changes as (
    select
        *,
        last_value(is_paying ignore nulls) over by_account as is_customer,
        coalesce(last_value(is_paying ignore nulls) over before, false) as was_customer,
        if(is_customer, last_value(plan_tier ignore nulls) over by_account, 'none') as closing_plan,
        if(was_customer, last_value(plan_tier ignore nulls) over before, 'none') as opening_plan,
        lag(closing_mrr, 1, 0) over by_account as opening_mrr,
        lag(revalued_mrr, 1, 0) over by_account as held_mrr,
        lag(seats, 1, 0) over by_account as opening_seats,
    from states
    window
        by_account as (partition by account_id order by period_start),
        before as (partition by account_id order by period_start rows between unbounded preceding and 1 preceding)
),

moves as (
    select
        *,
        case
            when is_customer and not was_customer and period_start = cohort_start then 'new'
            when is_customer and not was_customer then 'reactivation'
            when was_customer and not is_customer then 'churn'
            when was_customer and closing_mrr > held_mrr then 'expansion'
            when was_customer and closing_mrr < held_mrr then 'contraction'
        end as movement,
    from changes
),

-- Of the spells that ended before a close, by the month of that close: the one that was paid at the
-- open, else the last.
spells as (
    select
        spells.account_id,
        months.period_start,
        arg_max(spells.ending, (spells.started_at < months.open_at, spells.ended_at)) as ending,
        arg_max(spells.duration_days, (spells.started_at < months.open_at, spells.ended_at)) as tenure_days,
    from {{ ref('int_revenue__account_spells') }} as spells
    asof join {{ ref('int_quality__months') }} as months on spells.ended_at < months.close_at
    group by all
)

select
    moves.account_id,
    cohort_start,
    period_start,
    movement,
    opening_plan,
    closing_plan,
    opening_mrr,
    held_mrr - opening_mrr as fx_mrr,
    if(movement = 'new', closing_mrr, 0) as new_mrr,
    if(movement = 'reactivation', closing_mrr, 0) as reactivation_mrr,
    if(movement = 'expansion', closing_mrr - held_mrr, 0) as expansion_mrr,
    if(movement = 'contraction', held_mrr - closing_mrr, 0) as contraction_mrr,
    if(movement = 'churn', held_mrr, 0) as churned_mrr,
    closing_mrr,
    opening_seats,
    greatest(opening_seats - seats, 0) as removed_seats,
    was_customer::integer as opening_accounts,
    (movement is not distinct from 'new')::integer as new_accounts,
    (movement is not distinct from 'reactivation')::integer as reactivated_accounts,
    (movement is not distinct from 'expansion')::integer as expanded_accounts,
    (movement is not distinct from 'contraction')::integer as contracted_accounts,
    (movement is not distinct from 'churn')::integer as churned_accounts,
    (movement is not distinct from 'churn' and spells.ending is not distinct from 'voluntary')::integer
        as voluntary_churned_accounts,
    (movement is not distinct from 'churn' and spells.ending is not distinct from 'involuntary')::integer
        as involuntary_churned_accounts,
    (movement is not distinct from 'churn' and coalesce(spells.ending, 'unknown') = 'unknown')::integer
        as unknown_reason_churned_accounts,
    if(movement is not distinct from 'churn' and spells.tenure_days < 90, 1, 0) as early_churned_accounts,
    churned_accounts - early_churned_accounts as late_churned_accounts,
    is_customer::integer as closing_accounts,
    seats::bigint as closing_seats,
from moves
left join spells using (account_id, period_start)
