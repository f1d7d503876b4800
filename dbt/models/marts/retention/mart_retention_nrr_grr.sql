with cohorts as (
    select
        slice_dimension,
        slice_value,
        period_start,
        window_months,
        count(*) as cohort_accounts,
        sum(retained_accounts) as retained_accounts,
        sum(opening_mrr) as opening_mrr,
        sum(closing_mrr_of_cohort) as closing_mrr_of_cohort,
        sum(reactivated_mrr_of_cohort) as reactivated_mrr_of_cohort,
        sum(retained_mrr) as retained_mrr,
    from {{ ref('int_retention__account_windows') }}
    inner join {{ ref('int_accounts__slices') }} using (account_id)
    group by all
),

grid as (
    select
        slice_dimension,
        slice_value,
        period_start,
        period_end,
        unnest([1, 3, 12]) as window_months,
        is_complete_period,
        min(period_start) over () as first_month,
    from {{ ref('int_revenue__slice_months') }}
),

filled as (
    select
        slice_dimension,
        slice_value,
        window_months,
        coalesce(cohort_accounts, 0) as cohort_accounts,
        coalesce(retained_accounts, 0)::bigint as retained_accounts,
        coalesce(opening_mrr, 0)::decimal(38, 6) as opening_mrr,
        coalesce(closing_mrr_of_cohort, 0)::decimal(38, 6) as closing_mrr_of_cohort,
        coalesce(reactivated_mrr_of_cohort, 0)::decimal(38, 6) as reactivated_mrr_of_cohort,
        coalesce(retained_mrr, 0)::decimal(38, 6) as retained_mrr,
        period_start - to_months(window_months) < first_month as is_too_early,
        is_complete_period,
        period_start,
        period_end,
    from grid
    left join cohorts using (slice_dimension, slice_value, period_start, window_months)
)

select
    slice_dimension,
    slice_value,
    window_months,
    cohort_accounts,
    retained_accounts,
    opening_mrr,
    closing_mrr_of_cohort,
    reactivated_mrr_of_cohort,
    retained_mrr,
    {{ metric('nrr') }} as nrr,
    {{ metric('nrr_without_reactivation') }} as nrr_without_reactivation,
    {{ metric('grr') }} as grr,
    {{ metric('logo_retention_rate') }} as logo_retention_rate,
    -- The churn of the window restated for a month and for a year, as if it were the same in each month.
    1 - power(logo_retention_rate, 1 / window_months) as monthly_logo_churn_rate,
    1 - power(logo_retention_rate, 12 / window_months) as annual_logo_churn_rate,
    case
        when is_too_early then 'insufficient_history'
        when opening_mrr = 0 then 'no_opening_mrr'
    end as reason_null,
    cohort_accounts < {{ var("min_cohort_customers") }} as is_small_sample,
    is_complete_period,
    period_start,
    period_end,
from filled
