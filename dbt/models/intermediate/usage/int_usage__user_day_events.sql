{{ config(materialized = 'view') }}
select account_id, user_id, event_name, events, sessions, first_occurred_at, occurred_date,
from {{ ref('int_usage__rollup') }}
where grain = 'user_day_event'
