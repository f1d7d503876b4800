select *, grain in ('week', 'month') as is_in_mart_metrics,
from {{ ref('int_metrics__definitions') }}
