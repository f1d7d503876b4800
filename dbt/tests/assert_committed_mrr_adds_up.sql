select *
from {{ ref('mart_unit_economics') }}
where committed_mrr <> closing_mrr + contracted_mrr - scheduled_loss_mrr
