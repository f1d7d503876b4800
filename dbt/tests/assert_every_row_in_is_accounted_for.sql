select *
from {{ ref('mart_export_quality') }}
where rows_in <> rows_accepted + rows_rejected + rows_superseded
