with cancellations as (
    {{ newest_version('billing', 'cancellations', 'cancellation_id', with_system = true) }}
    union all by name
    {{ newest_snapshot([['ravenstack', 'churn_events']], with_system = true) }}
)

select * exclude (comment)
from cancellations
where cancelled_at < {{ as_of_end() }}
