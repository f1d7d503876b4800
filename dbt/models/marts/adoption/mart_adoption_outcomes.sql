-- What became of the accounts in each band of adoption. Every close is a cohort of its own, in which an
-- account is counted once, so the intervals need not pretend that its months are independent. What takes
-- time to show is told of closes that have been watched for long enough only.
with closes as (
    select
        months.account_id,
        months.period_start,
        months.period_end,
        months.is_complete_period,
        months.adoption_band,
        quality.close_at,
        quality.close_at + interval {{ var("adoption_outcome_days") }} day as watched_to,
        quality.close_at <= {{ as_of_end() }} - interval {{ var("adoption_outcome_days") }} day as is_watched,
    from {{ ref('int_adoption__account_months') }} as months
    inner join {{ ref('int_quality__months') }} as quality using (period_start)
    where months.eligibility in ('eligible', 'unknown')
),

spells as (
    select account_id, started_at, ended_at,
    from {{ ref('int_revenue__account_spells') }}
),

onboardings as (
    select
        account_id,
        bool_and(status = 'reached') as is_onboarded,
        max(days_to_reach) as days,
        min(started_date) as started_date,
    from {{ source('derived', 'onboarding_milestones') }}
    where is_required
    group by all
),

revenue as (
    select account_id, sum(closing_mrr) as paid,
    from {{ ref('int_revenue__account_months') }}
    group by all
),

stages as (
    select account_id, lifecycle_stage,
    from {{ ref('int_accounts__lifecycle_stages') }}
),

-- One value per account and outcome; null where it was not observed.
values_of_closes as (
    select
        closes.*,
        'churn' as outcome,
        'share' as kind,
        coalesce(spells.ended_at < closes.watched_to, false)::integer as value,
    from closes
    asof left join spells on closes.account_id = spells.account_id and closes.close_at > spells.started_at
    where closes.is_watched
    union all by name
    select
        closes.*,
        'lifecycle_' || outcomes.lifecycle_stage as outcome,
        'share' as kind,
        (stages.lifecycle_stage = outcomes.lifecycle_stage)::integer as value,
    from closes
    cross join (select distinct lifecycle_stage from stages) as outcomes
    left join stages using (account_id)
    where closes.is_watched
    union all by name
    select
        closes.*,
        'fast_onboarding' as outcome,
        'share' as kind,
        if(
            started_date + {{ var("onboarding_speed_days") }} <= {{ as_of_date() }},
            (is_onboarded and days <= {{ var("onboarding_speed_days") }})::integer,
            null
        ) as value,
    from closes
    left join onboardings using (account_id)
    union all by name
    select closes.*, 'onboarding_days' as outcome, 'mean' as kind, if(is_onboarded, days, null) as value,
    from closes
    left join onboardings using (account_id)
    union all by name
    select closes.*, 'lifetime_value' as outcome, 'mean' as kind, revenue.paid as value,
    from closes
    left join revenue using (account_id)
),

bands as (
    select
        period_start,
        period_end,
        is_complete_period,
        adoption_band,
        outcome,
        kind,
        count(*) as accounts,
        count(value) as n,
        -- To the millionth, so that the sum, and that of the rest, does not depend on the order of rows.
        coalesce(sum(cast(value as decimal(38, 6))), 0) as sum_of_values,
        stddev_samp(value order by account_id) as deviation,
    from values_of_closes
    group by all
),

-- The rest are all other accounts that were judged.
compared as (
    select
        * replace (sum_of_values::double as sum_of_values),
        sum(n) filter (adoption_band <> 'unknown') over of_close - if(adoption_band = 'unknown', 0, n) as n_of_rest,
        cast(
            sum(bands.sum_of_values) filter (adoption_band <> 'unknown') over of_close
            - if(adoption_band = 'unknown', 0, bands.sum_of_values) as double
        ) as sum_of_rest,
    from bands
    window of_close as (partition by period_start, outcome)
),

valued as (
    select
        *,
        {{ metric('adoption_outcome_value') }} as value,
        {{ metric('adoption_outcome_value_of_rest') }} as value_of_rest,
    from compared
)

select
    adoption_band,
    outcome,
    kind,
    accounts,
    n,
    sum_of_values,
    value,
    if(kind = 'share', {{ wilson_bound('sum_of_values', 'n', '-') }}, {{ normal_bound('value', 'deviation', 'n', '-') }})
        as ci_low,
    if(kind = 'share', {{ wilson_bound('sum_of_values', 'n', '+') }}, {{ normal_bound('value', 'deviation', 'n', '+') }})
        as ci_high,
    n_of_rest,
    sum_of_rest,
    value_of_rest,
    {{ metric('adoption_outcome_lift') }} as lift,
    {{ metric('adoption_outcome_coverage_rate') }} as coverage,
    case
        when n = 0 then 'not_observed'
        when value_of_rest is null then 'no_rest'
        when value_of_rest = 0 then 'rest_is_zero'
    end as reason_null,
    n < {{ var("min_cohort_customers") }} as is_small_sample,
    period_start = max(period_start) over (partition by outcome) as is_newest,
    is_complete_period,
    period_start,
    period_end,
from valued
