select *
from {{ ref('mart_retention_nrr_grr') }}
where
    renewed_mrr + retained_not_due_mrr + expansion_mrr <> closing_mrr_of_cohort
    or renewed_mrr + retained_not_due_mrr <> retained_mrr
    or least(renewed_mrr, retained_not_due_mrr, expansion_mrr) < 0
    or renewed_mrr > up_for_renewal_mrr
    or abs(renewed_share + retained_share + expansion_share - nrr) > 1e-9 * greatest(1, nrr)
