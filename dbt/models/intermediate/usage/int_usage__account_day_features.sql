{{ config(materialized = 'view') }}
select account_id, feature, events, users, occurred_date,
from {{ ref('int_usage__rollup') }}
where grain = 'account_day_feature'
