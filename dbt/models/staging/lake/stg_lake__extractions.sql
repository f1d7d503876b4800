select
    seq,
    system,
    export,
    landing_date,
    status,
    files,
    rows_in,
    rows_accepted,
    rows_rejected,
    rows_superseded,
    error,
    drift,
from {{ source('lake', 'extractions') }}
where system is not null
