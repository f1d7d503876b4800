-- open + gains - losses + fx = close, in money and in accounts.
select *
from {{ ref('mart_mrr_bridge') }}
where
    opening_mrr + new_mrr + reactivation_mrr + expansion_mrr - contraction_mrr - churned_mrr + fx_mrr
    <> closing_mrr
    or opening_accounts + new_accounts + reactivated_accounts - churned_accounts <> closing_accounts
