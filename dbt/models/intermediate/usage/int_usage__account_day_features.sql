{{ config(materialized = 'view') }}
select account_id, unnest(features) as feature, occurred_date,
from {{ ref('int_usage__rollup') }}
where grain = 'account_day'
