-- Every account that pays at the open or at the close, by its plan then and now.
with changes as (
    select
        account_id,
        {{ month_of('occurred_date') }} as period_start,
        cause,
        sum(abs(amount)) as size,
    from {{ ref('int_revenue__movements') }}
    where movement_type <> 'fx'
    group by all
),

causes as (
    select opening_plan, closing_plan, period_start, cause, sum(size) as size,
    from {{ ref('int_revenue__account_months') }}
    inner join changes using (account_id, period_start)
    where opening_accounts + closing_accounts > 0 and movement is not null
    group by all
),

main_causes as (
    select opening_plan, closing_plan, period_start, arg_max(cause, (size, cause)) as cause,
    from causes
    group by all
)

select
    opening_plan as from_plan,
    closing_plan as to_plan,
    count(*) as accounts,
    sum(opening_accounts)::bigint as opening_accounts,
    sum(closing_accounts)::bigint as closing_accounts,
    sum(opening_mrr) as opening_mrr,
    sum(closing_mrr) as closing_mrr,
    sum(fx_mrr) as fx_mrr,
    sum(closing_mrr - opening_mrr - fx_mrr) as mrr_delta,
    any_value(main_causes.cause) as cause,
    months.is_complete_period,
    months.period_start,
    months.period_end,
from {{ ref('int_revenue__account_months') }} as account_months
inner join {{ ref('int_quality__months') }} as months using (period_start)
left join main_causes using (opening_plan, closing_plan, period_start)
where opening_accounts + closing_accounts > 0
group by all
