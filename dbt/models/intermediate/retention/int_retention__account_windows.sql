-- Who paid window_months before a close, and what they pay at it: the cohort is never today's customers.
with windows as (
    select unnest([1, 3, 12]) as window_months
),

months as (
    select
        account_months.*,
        close_date,
        max(period_start) filter (movement = 'reactivation')
            over (partition by account_id order by period_start) as last_reactivated_start,
    from {{ ref('int_revenue__account_months') }} as account_months
    inner join {{ ref('int_quality__months') }} as months using (period_start)
),

cohorts as (
    select
        opened.account_id,
        windows.window_months,
        opened.period_start as opened_period_start,
        opened.close_date as open_date,
        opened.closing_mrr as opening_mrr,
        closed.closing_mrr,
        closed.closing_accounts,
        closed.last_reactivated_start,
        closed.close_date,
        closed.period_start,
        least(opened.closing_mrr, closed.closing_mrr) as retained_mrr,
    from months as opened
    cross join windows
    inner join months as closed
        on
            opened.account_id = closed.account_id
            and closed.period_start = opened.period_start + to_months(windows.window_months)
    where opened.closing_accounts = 1
),

items as (
    select account_id, subscription_id, term_end_date, period_start, sum(mrr) as mrr,
    from {{ ref('int_revenue__item_months') }}
    group by all
),

subscriptions as (
    select account_id, subscription_id, period_start, sum(mrr) as mrr,
    from items
    group by all
),

-- A term that ended after the open and before the close was up for renewal. What is left of the other
-- subscriptions was not; the rest of what the account goes on paying is what it renewed.
terms as (
    select
        cohorts.account_id,
        cohorts.window_months,
        cohorts.period_start,
        items.mrr,
        coalesce(subscriptions.mrr, 0) as mrr_now,
        coalesce(
            items.term_end_date + 1 >= cohorts.open_date and items.term_end_date + 1 < cohorts.close_date,
            false
        ) as is_due,
    from cohorts
    inner join items
        on
            cohorts.account_id = items.account_id
            and cohorts.opened_period_start = items.period_start
    left join subscriptions
        on
            items.account_id = subscriptions.account_id
            and items.subscription_id = subscriptions.subscription_id
            and cohorts.period_start = subscriptions.period_start
),

renewals as (
    select
        account_id,
        window_months,
        period_start,
        sum(mrr) filter (is_due) as due_mrr,
        coalesce(sum(least(mrr, mrr_now)) filter (not is_due), 0) as kept_of_rest,
    from terms
    group by all
    having bool_or(is_due)
)

select
    account_id,
    window_months,
    period_start,
    opening_mrr,
    closing_mrr as closing_mrr_of_cohort,
    retained_mrr,
    coalesce(due_mrr, 0)::decimal(38, 6) as up_for_renewal_mrr,
    coalesce(least(greatest(retained_mrr - kept_of_rest, 0), due_mrr), 0)::decimal(38, 6) as renewed_mrr,
    retained_mrr - renewed_mrr as retained_not_due_mrr,
    closing_mrr - retained_mrr as expansion_mrr,
    closing_accounts as retained_accounts,
    coalesce(last_reactivated_start > opened_period_start, false) as is_reactivated,
    if(is_reactivated, closing_mrr, 0) as reactivated_mrr_of_cohort,
    if(is_reactivated, retained_mrr, 0) as reactivated_retained_mrr,
    if(is_reactivated, retained_accounts, 0) as reactivated_accounts_of_cohort,
from cohorts
left join renewals using (account_id, window_months, period_start)
