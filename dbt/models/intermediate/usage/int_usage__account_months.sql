select
    account_id,
    period_start,
    active_users,
    active_days,
    events,
    active_events,
    logins,
    key_actions,
    sessions,
    minutes,
    features_used,
    last_event_date,
from {{ ref('int_usage__month_rollup') }}
where grain = 'account' and active_days is not null
