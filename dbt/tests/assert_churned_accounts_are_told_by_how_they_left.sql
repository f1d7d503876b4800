select *
from {{ ref('mart_churn_scoreboard') }}
where
    voluntary_churned_accounts + involuntary_churned_accounts + unknown_reason_churned_accounts
    <> churned_accounts
    or early_churned_accounts + late_churned_accounts <> churned_accounts
