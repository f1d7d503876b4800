-- No rate for the currency, or an amount beyond what MRR can hold: the row is left out of every sum.
{{ config(severity = 'warn') }}
select *
from {{ ref('int_revenue__item_periods') }}
where mrr is null or mrr_original is null
