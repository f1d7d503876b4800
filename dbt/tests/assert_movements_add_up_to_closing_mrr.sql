-- The ledger of exact instants tells the same story as the bridge of month closes.
with ledger as (
    select period_start, sum(amount) as amount,
    from {{ ref('fct_mrr_movements') }}
    group by all
)

select bridge.period_start, closing_mrr, sum(amount) over (order by bridge.period_start) as ledger_mrr,
from {{ ref('mart_mrr_bridge') }} as bridge
left join ledger using (period_start)
where slice_dimension = 'total'
qualify closing_mrr <> coalesce(ledger_mrr, 0)
