-- A cell exists only if its month is complete: the future is absent, never zero; so are orders of a month
-- that their export has not told of to its end.
with activity as (
    select
        account_id,
        unnest(['logo', 'mrr']) as basis,
        cohort_start,
        period_start,
        unnest([closing_accounts::decimal(38, 6), closing_mrr]) as value,
    from {{ ref('int_revenue__account_months') }}
    union all by name
    select distinct
        account_id,
        'orders' as basis,
        cast(min(date_trunc('month', ordered_date)) over (partition by account_id) as date) as cohort_start,
        {{ month_of('ordered_date') }} as period_start,
        1 as value,
    from {{ ref('int_onboarding__orders') }}
),

cohorts as (
    select
        basis,
        cohort_start,
        count(distinct account_id) as cohort_accounts,
        sum(value) filter (period_start = cohort_start) as cohort_size,
    from activity
    group by all
),

cells as (
    select
        cohorts.*,
        months.period_start,
        date_diff('month', cohort_start, months.period_start) as age_months,
    from cohorts
    inner join {{ ref('int_quality__months') }} as months
        on months.period_start >= cohorts.cohort_start and months.is_complete_period
    where cohorts.basis <> 'orders' or months.period_end - 1 <= {{ newest_landing([['orders', 'orders']]) }}
),

sums as (
    select basis, cohort_start, period_start, sum(value) as value,
    from activity
    group by all
),

filled as (
    select cells.*, coalesce(sums.value, 0) as value,
    from cells
    left join sums using (basis, cohort_start, period_start)
),

compared as (
    select
        *,
        lag(value) over (partition by basis, cohort_start order by age_months) as previous_value,
        sum(cohort_size) over by_age as size_of_all_cohorts,
        sum(value) over by_age as value_of_all_cohorts,
    from filled
    window by_age as (partition by basis, age_months)
)

select
    basis,
    age_months,
    cohort_accounts,
    cohort_size,
    value,
    {{ metric('retention_rate') }} as retention_rate,
    previous_value,
    {{ metric('retention_from_previous_rate') }} as retention_from_previous_rate,
    {{ metric_reason('retention_from_previous_rate') }} as retention_from_previous_reason_null,
    size_of_all_cohorts,
    value_of_all_cohorts,
    {{ metric('average_retention_rate') }} as average_retention_rate,
    true as is_mature,
    cohort_start,
    period_start,
from compared
