-- Did low scores leave? Every close that has been watched for the whole horizon: who paid then, with which
-- score, and had left by its end. Scores without coverage are counted in their own band and rank nothing.
with observations as (
    select
        health.account_id,
        health.period_start,
        health.health_score,
        health.band,
        exists (
            select 1 from {{ ref('int_revenue__account_spells') }} as spells
            where
                spells.account_id = health.account_id
                and spells.ended_at >= months.close_at
                and spells.ended_at < months.close_at + interval {{ var("health_horizon_days") }} day
        ) as has_churned,
    from {{ ref('int_health__account_months') }} as health
    inner join {{ ref('int_quality__months') }} as months using (period_start)
    where
        months.is_complete_period
        and months.close_at + interval {{ var("health_horizon_days") }} day <= {{ as_of_end() }}
),

-- Each month by itself, and all of them as one sample, of which an account is several observations.
scoped as (
    select 'month' as scope, *, period_start as observed_month from observations
    union all by name
    select 'all' as scope, * replace (max(period_start) over () as period_start), period_start as observed_month,
    from observations
),

ranked as (
    select
        *,
        -- Average ranks, so that equal scores count half.
        rank() over by_score + (count(*) over (by_score range between current row and current row) - 1) / 2 as mean_rank,
        row_number() over (
            partition by scope, period_start, health_score is null
            order by health_score, account_id, observed_month
        ) as place,
        count(health_score) over (partition by scope, period_start) as scored,
    from scoped
    window by_score as (partition by scope, period_start, health_score is null order by health_score)
),

totals as (
    select
        scope,
        period_start,
        'total' as band,
        count(*) as accounts,
        count(*) filter (has_churned) as churned_accounts,
        count(health_score) as scored_accounts,
        count(health_score) filter (has_churned) as scored_churned,
        sum(mean_rank) filter (has_churned and health_score is not null) as churned_ranks,
        count(*) filter (place <= ceil(scored / 10) and health_score is not null) as decile_accounts,
        count(*) filter (place <= ceil(scored / 10) and health_score is not null and has_churned)
            as decile_churned,
    from ranked
    group by all
),

bands as (
    select
        scope,
        period_start,
        band,
        count(*) as accounts,
        count(*) filter (has_churned) as churned_accounts,
    from scoped
    group by all
    union all by name
    select scope, period_start, band, accounts, churned_accounts,
    from totals
),

rated as (
    select
        *,
        {{ metric('health_churn_rate') }} as churn_rate,
        -- What the band did at all earlier closes: the promise against which this one is held.
        sum(accounts) over earlier as earlier_accounts,
        sum(churned_accounts) over earlier as earlier_churned_accounts,
    from bands
    window earlier as (
        partition by scope, band order by period_start
        rows between unbounded preceding and 1 preceding
    )
)

select
    rated.scope,
    rated.band,
    rated.accounts,
    rated.churned_accounts,
    rated.churn_rate,
    {{ ratio("rated.churn_rate", "max(rated.churn_rate) filter (rated.band = 'total') over of_close") }} as lift,
    -- The share of pairs, one that left and one that stayed, in which the one that left had scored lower.
    1 - {{ ratio(
        "churned_ranks - scored_churned * (scored_churned + 1) / 2",
        "scored_churned * (scored_accounts - scored_churned)",
    ) }} as auc,
    {{ ratio("decile_churned * scored_accounts", "decile_accounts * scored_churned") }} as top_decile_lift,
    rated.churn_rate - {{ ratio("earlier_churned_accounts", "earlier_accounts") }} as calibration_gap,
    rated.accounts < {{ var("min_cohort_customers") }} as is_small_sample,
    rated.period_start,
from rated
left join totals using (scope, period_start, band)
window of_close as (partition by rated.scope, rated.period_start)
