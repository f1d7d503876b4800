{%- set bounded = {
    "mart_churn_scoreboard": ["logo_churn_rate", "customer_retention_rate", "day_scaled_logo_churn_rate", "gross_revenue_churn_rate", "seat_churn_rate", "user_churn_rate", "activity_churn_rate", "champion_loss_rate"],
    "mart_retention_nrr_grr": ["logo_retention_rate", "logo_retention_without_reactivation_rate"],
    "mart_portfolio_growth": ["revenue_concentration"],
    "(select * from " ~ ref("mart_cohort_retention") ~ " where basis <> 'mrr')": ["retention_rate", "average_retention_rate"],
    "mart_survival_curve": ["survival", "ci_low", "ci_high"],
    "mart_survey_scores": ["response_rate"],
    "mart_support_account_period": ["escalation_rate", "reopen_rate", "ticket_csat"],
    "mart_support_onboarding": ["outcome_rate", "ci_low", "ci_high"],
    "mart_onboarding_cohorts": ["reached_share"],
    "mart_usage_engagement": ["stickiness", "average_stickiness", "account_stickiness"],
    "mart_usage_retention": ["retention_rate"],
    "mart_usage_before_churn": ["unused_rate"],
    "mart_contacts_account_period": ["email_answer_rate", "two_way_share"],
    "mart_listening": ["share_of_voice", "mean_rating_share"],
    "mart_renewals": ["renewal_rate", "best_case_rate", "account_renewal_rate"],
    "mart_trial_conversion": ["conversion_rate", "rate_30", "rate_60", "rate_90"],
    "mart_fit_segments": ["share_of_accounts", "share_of_mrr", "logo_retention_rate"],
    "mart_rate_of_adoption": ["rate", "rate_now", "coverage", "breadth", "key_action_session_rate"],
    "mart_product_adoption": ["breadth", "key_action_session_rate"],
    "mart_feature_adoption": ["tried_rate", "adoption_rate", "keep_rate"],
    "(select * from " ~ ref("mart_adoption_outcomes") ~ " where kind = 'share')": ["value", "ci_low", "ci_high", "coverage"],
} %}
{%- for mart, rates in bounded.items() %}
{%- set mart_loop = loop %}
{%- for rate in rates %}
select '{{ rate }}' as rate, {{ rate }} as value,
from {{ mart if mart.startswith("(") else ref(mart) }}
where not {{ rate }} between 0 and 1 + 1e-12
{{ "union all" if not (loop.last and mart_loop.last) }}
{%- endfor %}
{%- endfor %}
