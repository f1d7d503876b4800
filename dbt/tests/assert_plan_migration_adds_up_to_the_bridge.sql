-- Every move of the bridge is a move between plans, of none or of a plan to itself included.
with moved as (
    select
        period_start,
        sum(opening_mrr) as opening_mrr,
        sum(closing_mrr) as closing_mrr,
        sum(mrr_delta + fx_mrr) as moved_mrr,
        sum(opening_accounts) as opening_accounts,
        sum(closing_accounts) as closing_accounts,
    from {{ ref('mart_plan_migration') }}
    group by all
)

select *
from {{ ref('mart_mrr_bridge') }} as bridge
left join moved using (period_start)
where
    slice_dimension = 'total'
    and (
        coalesce(moved.opening_mrr, 0) <> bridge.opening_mrr
        or coalesce(moved.closing_mrr, 0) <> bridge.closing_mrr
        or coalesce(moved_mrr, 0) <> bridge.closing_mrr - bridge.opening_mrr
        or coalesce(moved.opening_accounts, 0) <> bridge.opening_accounts
        or coalesce(moved.closing_accounts, 0) <> bridge.closing_accounts
    )
