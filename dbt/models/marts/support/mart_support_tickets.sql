select * exclude (period_start)
from {{ ref('int_support__tickets') }}
