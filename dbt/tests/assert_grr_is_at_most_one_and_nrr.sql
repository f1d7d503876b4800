select *
from {{ ref('mart_retention_nrr_grr') }}
where
    grr > 1 + 1e-12
    or grr > nrr + 1e-12
    or grr_without_reactivation > least(grr, nrr_without_reactivation) + 1e-12
    or logo_retention_without_reactivation_rate > logo_retention_rate
