select
    destination,
    reason_code,
    count(*) as exits,
    count(distinct account_id) as accounts,
    count(winback_at) as exits_won_back,
    sum(mrr_lost)::decimal(38, 6) as mrr_lost,
    months.is_complete_period,
    period_start,
    months.period_end,
from {{ ref('int_retention__exits') }}
inner join {{ ref('int_quality__months') }} as months using (period_start)
group by all
