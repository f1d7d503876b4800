-- What a customer is worth, and what is contracted beyond what is paid now.
{%- set horizon_days = var("ltv_horizon_months") ~ " * 365 / 12" %}
with months as (
    select
        slice_dimension,
        slice_value,
        closing_mrr,
        closing_accounts,
        {{ metric('logo_churn_rate') }} as logo_churn_rate,
        is_complete_period,
        period_start,
        period_end,
    from {{ ref('int_revenue__slice_months') }}
),

-- The six months before, the row's own left out.
smoothed as (
    select
        * exclude (logo_churn_rate),
        sum(logo_churn_rate) over six_months as churn_rates_6m,
        count(logo_churn_rate) over six_months as churn_months_6m,
    from months
    window six_months as (
        partition by slice_dimension, slice_value
        order by period_start
        rows between 6 preceding and 1 preceding
    )
),

largest as (
    select slice_dimension, slice_value, period_start, list_sum(max(closing_mrr, 10)) as largest_10_mrr,
    from {{ ref('int_revenue__account_months') }}
    inner join {{ ref('int_accounts__slices') }} using (account_id)
    group by all
),

-- The area under the survival curve of first spells up to the horizon. Up to its first age the curve is
-- 1; after its last it is held.
steps as (
    select
        slice_dimension,
        slice_value,
        age_days,
        survival,
        lag(survival, 1, 1) over by_age as survival_before,
        lag(age_days, 1, 0) over by_age as age_before,
        lead(age_days) over by_age is null as is_last,
    from {{ ref('int_retention__survival') }}
    where subject = 'logo'
    window by_age as (partition by slice_dimension, slice_value order by age_days)
),

lifetimes as (
    select
        slice_dimension,
        slice_value,
        sum(
            survival_before * (least(age_days, {{ horizon_days }}) - least(age_before, {{ horizon_days }}))
            + if(is_last, survival * greatest({{ horizon_days }} - age_days, 0), 0)
        ) * 12 / 365 as restricted_months,
        max(age_days) * 12 / 365 as observed_months,
    from steps
    group by all
),

trial_rows as (
    select
        slices.slice_dimension,
        slices.slice_value,
        months.period_start,
        sum({{ mrr_on('subscriptions', 'months.period_start') }}) as trial_mrr,
    from {{ ref('int_revenue__subscriptions') }} as subscriptions
    inner join {{ ref('int_quality__months') }} as months
        on
            subscriptions.started_at < months.close_at
            and subscriptions.trial_until >= months.close_at
            and subscriptions.trial_until > subscriptions.started_at
            and subscriptions.mrr is not null
            and not {{ is_void() }}
    inner join {{ ref('int_accounts__slices') }} as slices using (account_id)
    group by all
),

committed as (
    select
        slice_dimension,
        slice_value,
        {{ as_of_month() }} as period_start,
        sum(committed_mrr) as committed_mrr,
        sum(contracted_mrr) as contracted_mrr,
        sum(scheduled_loss_mrr) as scheduled_loss_mrr,
    from {{ ref('int_revenue__account_commitments') }}
    inner join {{ ref('int_accounts__slices') }} using (account_id)
    group by all
)

select
    slice_dimension,
    slice_value,
    closing_mrr,
    closing_accounts,
    coalesce(largest_10_mrr, 0)::decimal(38, 6) as largest_10_mrr,
    churn_rates_6m,
    churn_months_6m,
    {{ var("gross_margin_rate") }}::double as gross_margin_rate,
    restricted_months,
    observed_months,
    coalesce(trial_mrr, 0)::decimal(38, 6) as trial_mrr,
    period_start = as_of_month as is_as_of,
    if(is_as_of, coalesce(committed_mrr, 0), null)::decimal(38, 6) as committed_mrr,
    if(is_as_of, coalesce(contracted_mrr, 0), null)::decimal(38, 6) as contracted_mrr,
    if(is_as_of, coalesce(scheduled_loss_mrr, 0), null)::decimal(38, 6) as scheduled_loss_mrr,
    is_complete_period,
    period_start,
    period_end,
from smoothed
cross join {{ ref('int_quality__as_of') }}
left join largest using (slice_dimension, slice_value, period_start)
left join lifetimes using (slice_dimension, slice_value)
left join trial_rows using (slice_dimension, slice_value, period_start)
left join committed using (slice_dimension, slice_value, period_start)
