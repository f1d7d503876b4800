-- From the MRR of every account at every close to the bridge and the cohorts.
create table moves as
with changes as (
    select
        *,
        lag(closing_mrr, 1, 0) over by_account as opening_mrr,
        min(period_start) filter (closing_mrr > 0) over (partition by account_id) as cohort_start,
    from closes
    window by_account as (partition by account_id order by period_start)
)

select
    *,
    case
        when closing_mrr > 0 and opening_mrr = 0 and period_start = cohort_start then 'new'
        when closing_mrr > 0 and opening_mrr = 0 then 'reactivation'
        when closing_mrr = 0 and opening_mrr > 0 then 'churn'
        when closing_mrr > opening_mrr then 'expansion'
        when closing_mrr < opening_mrr then 'contraction'
    end as movement,
from changes
where period_start >= cohort_start;

create table slices as
with plans as (
    select account_id, plan_tier
    from covers
    qualify row_number() over (
        partition by account_id
        order by covered_until desc, started_at desc, mrr desc, subscription_id desc
    ) = 1
)

select
    plans.account_id,
    unnest(['total', 'segment', 'plan_tier', 'country', 'acquisition_channel']) as slice_dimension,
    unnest([
        'all',
        coalesce(segment, 'unknown'),
        coalesce(plan_tier, 'unknown'),
        coalesce(country, 'unknown'),
        coalesce(acquisition_channel, 'unknown'),
    ]) as slice_value,
from plans
left join accounts using (account_id);

create table bridge as
select
    slice_dimension,
    slice_value,
    period_start,
    sum(opening_mrr) as opening_mrr,
    sum(closing_mrr) filter (movement = 'new') as new_mrr,
    sum(closing_mrr) filter (movement = 'reactivation') as reactivation_mrr,
    sum(closing_mrr - opening_mrr) filter (movement = 'expansion') as expansion_mrr,
    sum(opening_mrr - closing_mrr) filter (movement = 'contraction') as contraction_mrr,
    sum(opening_mrr) filter (movement = 'churn') as churned_mrr,
    sum(closing_mrr) as closing_mrr,
    count(*) filter (opening_mrr > 0) as opening_accounts,
    count(*) filter (movement = 'new') as new_accounts,
    count(*) filter (movement = 'reactivation') as reactivated_accounts,
    count(*) filter (movement = 'churn') as churned_accounts,
    count(*) filter (closing_mrr > 0) as closing_accounts,
from moves
inner join slices using (account_id)
group by all;

create table cohorts as
select 'logo' as basis, cohort_start, period_start, count(*) filter (closing_mrr > 0) as value,
from moves
group by all
union all
select 'mrr', cohort_start, period_start, sum(closing_mrr)
from moves
group by all;
