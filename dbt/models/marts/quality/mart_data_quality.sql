with landed as (
    select system, export, max(landing_date) as newest_landing_date,
    from {{ ref('int_quality__export_days') }}
    where is_in_raw and landing_date <= {{ as_of_date() }}
    group by all
)

select
    system,
    export,
    check_name,
    rows,
    failures,
    {{ metric('failure_share') }} as share,
    1 - share as match_rate,
    severity,
    fate,
    examples,
    24 * date_diff('day', newest_landing_date, {{ as_of_date() }}) as freshness_hours,
    description,
from {{ ref('int_quality__disagreements') }}
left join landed using (system, export)
