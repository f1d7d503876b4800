-- Every slice dimension splits the same accounts, so additive measures sum to the total's.
{%- set additive = {
    "mart_mrr_bridge": ["opening_mrr", "new_mrr", "reactivation_mrr", "expansion_mrr", "contraction_mrr", "churned_mrr", "fx_mrr", "closing_mrr", "opening_accounts", "new_accounts", "reactivated_accounts", "expanded_accounts", "contracted_accounts", "churned_accounts", "closing_accounts"],
    "mart_churn_scoreboard": ["voluntary_churned_accounts", "involuntary_churned_accounts", "unknown_reason_churned_accounts", "early_churned_accounts", "late_churned_accounts", "same_period_churned_accounts", "opening_seats", "removed_seats", "opening_active_users", "silent_users", "opening_active_accounts", "silent_accounts", "silent_paying_accounts", "champion_accounts", "champion_lost_accounts", "csm_changes"],
    "mart_portfolio_growth": ["opening_mrr", "closing_mrr", "closing_accounts"],
    "mart_retention_nrr_grr": ["cohort_accounts", "retained_accounts", "opening_mrr", "closing_mrr_of_cohort", "retained_mrr", "reactivated_retained_mrr", "reactivated_accounts_of_cohort", "up_for_renewal_mrr", "renewed_mrr", "expansion_mrr"],
    "mart_metrics": ["numerator", "denominator"],
    "mart_survey_scores": ["responses", "favourable", "neutral", "unfavourable", "invitations"],
    "int_support__slice_months": ["accounts", "solved_tickets", "backlog_at_close"],
    "mart_onboarding_throughput": ["started", "completed", "churned_before", "open_at_end"],
    "mart_onboarding_cohorts": ["started", "reached"],
    "mart_usage_engagement": ["dau", "wau", "mau", "daily_active_accounts", "weekly_active_accounts", "monthly_active_accounts", "accounts_with_events", "idle_days"],
    "mart_usage_active_days": ["users_exactly"],
    "mart_usage_lifecycle": ["new_accounts", "late_start_accounts", "returning_accounts", "resurrecting_accounts", "dormant_accounts", "inactive_accounts", "never_active_accounts"],
    "mart_churn_reasons": ["exits", "mrr_lost", "exits_won_back", "cancellations", "cancellations_without_exit"],
    "mart_renewals": ["exposed_mrr", "renewed_mrr", "renewed_capped", "lost_mrr", "open_mrr", "exposed_accounts", "renewed_accounts", "lost_accounts", "open_accounts"],
    "mart_unit_economics": ["trial_mrr", "committed_mrr", "contracted_mrr", "scheduled_loss_mrr"],
    "mart_rate_of_adoption": ["accounts", "eligible", "adopted", "unknown", "not_eligible", "eligible_now", "adopted_now", "unknown_now", "not_eligible_now"],
} %}
{%- set periods = {"mart_onboarding_cohorts": "cohort_start"} %}
{%- set further_keys = {
    "mart_retention_nrr_grr": "|| window_months",
    "mart_metrics": "|| metric_name || period_grain",
    "mart_survey_scores": "|| survey_type || period_window",
    "mart_onboarding_throughput": "|| period_grain",
    "mart_onboarding_cohorts": "|| milestone || window_days",
    "mart_usage_active_days": "|| period_grain || active_days",
    "mart_usage_lifecycle": "|| period_grain",
    "mart_churn_reasons": "|| reason_code",
} %}
{#- Measures that were cut to six decimals differ in the last of them. -#}
{%- set tolerances = {"mart_metrics": 0.001} %}
{%- set means = [] %}
{%- for name, entry in var("metrics").items() if entry.is_additive is false %}
{%- do means.append(name) %}
{%- endfor %}
{%- for mart, measures in additive.items() %}
select
    '{{ mart }}' as mart,
    period,
    {%- for measure in measures %}
    max({{ measure }}) - min({{ measure }}) as spread_of_{{ measure }},
    {%- endfor %}
from (
    select
        {{ periods.get(mart, "period_start") }} {{ further_keys.get(mart, "|| ''") }} as period,
        slice_dimension,
        {%- for measure in measures %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
    from {{ ref(mart) }}
    {%- if mart == "mart_metrics" and means %}
    where metric_name not in ('{{ means | join("', '") }}')
    {%- endif %}
    group by all
)
group by all
having {% for measure in measures %}{{ "or " if not loop.first }}spread_of_{{ measure }} > {{ tolerances.get(mart, 0) }} {% endfor %}
{{ "union all by name" if not loop.last }}
{%- endfor %}
