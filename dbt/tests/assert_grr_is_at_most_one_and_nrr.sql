select *
from {{ ref('mart_retention_nrr_grr') }}
where grr > 1 + 1e-12 or grr > nrr + 1e-12
