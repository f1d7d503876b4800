with cancellations as (
    {{ newest_version('billing', 'cancellations', 'cancellation_id') }}
    union all by name
    {{ newest_snapshot([['ravenstack', 'churn_events']]) }}
)

select * exclude (comment)
from cancellations
where cancelled_at < {{ as_of_end() }}
