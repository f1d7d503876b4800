-- The throughput's last count of open accounts, against the accounts themselves.
with open_accounts as (
    select count(distinct account_id) as accounts,
    from {{ ref('mart_onboarding_milestones') }}
    where is_required and status in ('in_progress', 'overdue')
),

last_counts as (
    select period_grain, arg_max(open_at_end, period_start) as open_at_end,
    from {{ ref('mart_onboarding_throughput') }}
    where slice_dimension = 'total'
    group by all
)

select *
from last_counts
cross join open_accounts
where open_at_end <> accounts
