-- Who paid window_months before a close, and what they pay at it: the cohort is never today's customers.
with windows as (
    select unnest([1, 3, 12]) as window_months
),

months as (
    select * from {{ ref('int_revenue__account_months') }}
)

select
    opened.account_id,
    windows.window_months,
    closed.period_start,
    opened.closing_mrr as opening_mrr,
    closed.closing_mrr as closing_mrr_of_cohort,
    least(opened.closing_mrr, closed.closing_mrr) as retained_mrr,
    closed.closing_accounts as retained_accounts,
    if(
        closed.last_reactivated_start > opened.period_start, closed.closing_mrr, 0
    ) as reactivated_mrr_of_cohort,
from months as opened
cross join windows
inner join (
    select
        *,
        max(period_start) filter (movement = 'reactivation')
            over (partition by account_id order by period_start) as last_reactivated_start,
    from months
) as closed
    on
        opened.account_id = closed.account_id
        and closed.period_start = opened.period_start + to_months(windows.window_months)
where opened.closing_accounts = 1
