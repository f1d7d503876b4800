-- What a metric of a month was when the month was first closed, as known on the as-of day.
-- A policy that was empty used to be written as None.
select * exclude (release_id) replace (replace(policies, ' = None', ' = ') as policies),
from {{ ref('stg_lake__closes') }}
where measured_at <= {{ as_of_date() }}
qualify row_number() over (
    partition by metric_name, period_grain, period_start, slice_dimension, slice_value
    order by release_id
) = 1
