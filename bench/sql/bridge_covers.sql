-- What each subscription row earns a month and from when to when: the rules of the default policies,
-- written as one would without the project. Tables subscriptions, accounts and fx_rates are given.
create table covers as
with first_starts as (
    select *, min(started_at) over (partition by subscription_id) as first_started_at
    from subscriptions
),

valued as (
    select
        first_starts.*,
        quantity * unit_amount_minor / 100.0::double
        * (1 - coalesce(discount_percent, 0)::double / 100)
        * case billing_interval when 'year' then 1 / 12 when 'week' then 52 / 12 when 'day' then 365 / 12 else 1 end
        / interval_count as monthly_amount,
        coalesce(rates.base_per_unit, first_rates.base_per_unit, 1)::double as base_per_unit,
    from first_starts
    asof left join fx_rates as rates
        on rates.currency = first_starts.currency and first_starts.first_started_at >= rates.rate_date
    left join (
        select currency, arg_min(base_per_unit, rate_date) as base_per_unit from fx_rates group by all
    ) as first_rates on first_rates.currency = first_starts.currency
)

select
    account_id,
    subscription_id,
    plan_tier,
    started_at,
    cast(monthly_amount * base_per_unit as decimal(18, 6)) as mrr,
    greatest(started_at, trial_end_at) as covered_from,
    least(
        ended_at,
        if(status = 'past_due', coalesce(past_due_since, started_at) + interval 30 day, null),
        timestamp '{as_of_end}'
    ) as covered_until,
from valued
where
    status not in ('paused', 'trialing')
    and not (status = 'canceled' and ended_at is null)
    and covered_from < covered_until
    and mrr > 0;

create table months as
select
    cast(unnest(range(date_trunc('month', timestamp '{start}'), timestamp '{as_of_end}', interval 1 month)) as date)
        as period_start,
    least(period_start + interval 1 month, timestamp '{as_of_end}') as close_at;
