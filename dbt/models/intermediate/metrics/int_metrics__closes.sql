-- What a metric of a month was when the month was first closed, as known on the as-of day.
select * exclude (release_id)
from {{ ref('stg_lake__closes') }}
where measured_at <= {{ as_of_date() }}
qualify row_number() over (
    partition by metric_name, period_grain, period_start, slice_dimension, slice_value
    order by release_id
) = 1
