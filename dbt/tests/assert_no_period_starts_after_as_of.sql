{%- set marts = [
    "mart_mrr_bridge",
    "mart_usage_account_day",
    "mart_usage_active_days",
    "mart_usage_engagement",
    "mart_usage_lifecycle",
    "mart_churn_scoreboard",
    "mart_retention_nrr_grr",
    "mart_cohort_retention",
    "mart_portfolio_growth",
    "fct_mrr_movements",
    "mart_survey_scores",
    "mart_onboarding_throughput",
    "mart_support_account_period",
    "mart_support_adoption_state",
    "mart_contacts_account_period",
    "mart_metrics",
    "mart_objective_attainment",
    "mart_listening",
    "mart_exit_register",
    "mart_churn_reasons",
    "mart_switched_to",
    "mart_feature_adoption",
    "mart_product_adoption",
    "mart_rate_of_adoption",
    "mart_adoption_outcomes",
    "mart_renewals",
    "mart_plan_migration",
    "mart_trial_conversion",
    "mart_unit_economics",
    "mart_fit_segments",
] %}
{%- for mart in marts %}
select '{{ mart }}' as mart, period_start,
from {{ ref(mart) }}
where period_start > {{ as_of_date() }}
{{ "union all" if not loop.last }}
{%- endfor %}
