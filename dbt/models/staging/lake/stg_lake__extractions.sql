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
    cast(reasons as map(varchar, bigint)) as reasons,
    error,
    drift,
    md5(concat_ws('/', contract, landed ->> '$[*][0]', landed ->> '$[*][4]')) as content_key,
from {{ source('lake', 'extractions') }}
where system in ('{{ var("systems") | join("', '") }}')
