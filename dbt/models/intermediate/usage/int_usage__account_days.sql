{{ config(materialized = 'view') }}
select
    account_id, active_users, events, active_events, logins, key_actions, sessions, minutes, occurred_date,
from {{ ref('int_usage__rollup') }}
where grain = 'account_day'
