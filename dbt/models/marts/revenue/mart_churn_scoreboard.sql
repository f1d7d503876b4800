-- The revenue side is nothing where usage alone knows the accounts of a slice.
with measured as (
    select
        people.*,
        months.close_date - people.period_start as observed_days,
        coalesce(
            columns(revenue.* exclude (
                slice_dimension, slice_value, period_start, period_end, opening_accounts, is_complete_period
            )),
            0
        ),
    from {{ ref('int_retention__people_slice_months') }} as people
    left join {{ ref('int_revenue__slice_months') }} as revenue using (slice_dimension, slice_value, period_start)
    inner join {{ ref('int_quality__months') }} as months on people.period_start = months.period_start
)

select
    slice_dimension,
    slice_value,
    opening_accounts,
    churned_accounts,
    voluntary_churned_accounts,
    involuntary_churned_accounts,
    unknown_reason_churned_accounts,
    early_churned_accounts,
    late_churned_accounts,
    same_period_churned_accounts,
    opening_mrr,
    fx_mrr,
    churned_mrr,
    contraction_mrr,
    expansion_mrr,
    reactivation_mrr,
    opening_seats,
    removed_seats,
    {{ metric('logo_churn_rate') }} as logo_churn_rate,
    1 - logo_churn_rate as customer_retention_rate,
    1 - power(customer_retention_rate, 365 / 12 / observed_days) as day_scaled_logo_churn_rate,
    {{ metric('gross_revenue_churn_rate') }} as gross_revenue_churn_rate,
    {{ metric('net_revenue_churn_rate') }} as net_revenue_churn_rate,
    {{ metric('net_revenue_churn_with_reactivation_rate') }} as net_revenue_churn_with_reactivation_rate,
    {{ metric('seat_churn_rate') }} as seat_churn_rate,
    opening_active_users,
    silent_users,
    opening_active_accounts,
    silent_accounts,
    silent_paying_accounts,
    champion_accounts,
    champion_lost_accounts,
    csm_changes,
    {{ metric('user_churn_rate') }} as user_churn_rate,
    {{ metric('activity_churn_rate') }} as activity_churn_rate,
    {{ metric('champion_loss_rate') }} as champion_loss_rate,
    {{ metric('csm_turnover_rate') }} as csm_turnover_rate,
    {{ metric_reason('logo_churn_rate') }} as reason_null,
    {{ metric_reason('gross_revenue_churn_rate') }} as revenue_churn_reason_null,
    {{ metric_reason('seat_churn_rate') }} as seat_churn_reason_null,
    {{ metric_reason('user_churn_rate') }} as user_churn_reason_null,
    {{ metric_reason('activity_churn_rate') }} as activity_churn_reason_null,
    {{ metric_reason('champion_loss_rate') }} as champion_loss_reason_null,
    {{ metric_reason('csm_turnover_rate') }} as csm_turnover_reason_null,
    is_complete_period,
    period_start,
    period_end,
from measured
