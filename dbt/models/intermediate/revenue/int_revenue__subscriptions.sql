-- Subscription rows and what each is worth a month, whenever it counts. Under a constant rate a row in
-- another currency keeps the rate of the subscription's first start.
-- Read twice, because the rates need but three columns of it.
with subscriptions as not materialized (
    {{ newest_snapshot(exports_of('subscriptions'), with_system = true) }}
),

first_starts as (
    select
        subscription_id,
        currency,
        min(min(started_at)) over (partition by subscription_id) as first_started_at,
    from subscriptions
    group by subscription_id, currency
),

-- Once per subscription, not per row: looking up a rate by its day is what costs here.
rates as (
    select first_starts.subscription_id, first_starts.currency, rates.base_per_unit,
    from first_starts
    asof join {{ ref('int_revenue__fx_rates') }} as rates
        on
            first_starts.currency = rates.currency
            and {{ local_date('first_starts.first_started_at') }} >= rates.valid_from
),

priced as (
    select
        *,
        cast(list_amount as double)
        {% if var("discount_policy") == "all" %}* (1 - coalesce(discount_percent, 0) / 100){% endif %}
        * case billing_interval
            when 'year' then 1 / 12
            when 'month' then 1
            when 'week' then 52 / 12
            when 'day' then 365 / 12
        end
        / interval_count as monthly_amount,
    from subscriptions
)

select
    priced.* exclude (monthly_amount, discount_percent),
    coalesce(discount_percent, 0) as discount_percent,
    billing_interval || ' x ' || interval_count as term,
    -- A trial is a trialing row, or the time of any row before its trial_end_at.
    case
        when status = 'trialing' then coalesce(ended_at, trial_end_at, timestamp 'infinity')
        when trial_end_at > started_at then least(trial_end_at, ended_at)
        else started_at
    end as trial_until,
    -- Finer than MRR, because it is multiplied with a rate before it is rounded.
    try_cast(monthly_amount as decimal(38, 9)) as mrr_original,
    -- By way of twelve decimals: a double that means half a unit of the sixth would be rounded either way.
    try_cast(try_cast(monthly_amount * base_per_unit as decimal(38, 12)) as decimal(18, 6)) as mrr,
from priced
left join rates using (subscription_id, currency)
