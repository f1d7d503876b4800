-- canceled needs ended_at; a row without it never counts.
{{ config(severity = 'warn') }}
select *
from {{ ref('int_revenue__subscriptions') }}
where status = 'canceled' and ended_at is null
