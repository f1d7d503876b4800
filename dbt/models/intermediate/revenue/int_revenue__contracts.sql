{% set tolerance = "interval " ~ var("gap_tolerance_days") ~ " day" %}
-- A contract is the time of a subscription up to one term_end_date; what it is worth at its last moment
-- is up for renewal. It is renewed by what is paid for within the tolerance after that moment: the same
-- subscription, else subscriptions that the account starts then. An overdue row is no payment yet.
with items as (
    select
        *,
        coalesce(service_ended_at, timestamp 'infinity') as ends_at,
        {{ day_start('term_end_date + 1') }} as term_ends_at,
        least(ends_at, term_ends_at) as decided_at,
        mrr > 0 and not is_overdue as is_paid,
        min(paid_from) filter (mrr > 0 and not is_overdue)
            over (partition by account_id, subscription_id) as first_paid_from,
    from {{ ref('int_revenue__item_periods') }}
    where paid_from < least(ends_at, {{ as_of_end() }})
),

-- Of several rows the last one. Under latest_start only the row that wins is what the account pays.
contracts as (
    select
        *,
        {{ month_of('term_end_date') }} as period_start,
        {{ local_date("decided_at - interval 1 microsecond") }} as decided_date,
    from items
    semi join {{ ref('int_revenue__account_periods') }} as periods
        on
            items.subscription_id = periods.subscription_id
            and items.started_at = periods.started_at
            and least(items.decided_at, {{ as_of_end() }}) > periods.period_from
            and least(items.decided_at, {{ as_of_end() }}) <= periods.period_to
    where is_paid and paid_from < term_ends_at
    qualify row_number() over (
        partition by account_id, subscription_id, term_end_date
        order by paid_from desc, items.started_at desc
    ) = 1
),

-- As long as what follows is overdue, it may still be paid.
overdue as (
    select
        contracts.subscription_id,
        contracts.account_id,
        contracts.term_end_date,
        max(items.ends_at) as overdue_until,
    from contracts
    inner join items
        on
            contracts.account_id = items.account_id
            and contracts.subscription_id = items.subscription_id
            and items.is_overdue
            and items.ends_at > contracts.decided_at
            and items.paid_from <= contracts.decided_at + {{ tolerance }}
    group by all
),

-- A contract that ended or was replaced before the month of its last day is not up for renewal in it; one
-- that was overdue, and open, into that month is.
due as (
    select contracts.*, overdue.overdue_until, {{ mrr_on('contracts', 'decided_date') }} as exposed_mrr,
    from contracts
    left join overdue using (account_id, subscription_id, term_end_date)
    where least(greatest(decided_at, overdue_until), term_ends_at) > {{ day_start('period_start') }}
),

continued as (
    select
        due.subscription_id,
        due.account_id,
        due.term_end_date,
        {{ mrr_on('items', 'due.decided_date') }} as renewed_mrr,
    from due
    inner join items
        on
            due.account_id = items.account_id
            and due.subscription_id = items.subscription_id
            and items.is_paid
            and items.ends_at > due.decided_at
            and items.paid_from <= greatest(due.decided_at, due.overdue_until) + {{ tolerance }}
    where due.decided_at < {{ as_of_end() }}
    qualify row_number() over (
        partition by due.account_id, due.subscription_id, due.term_end_date
        order by items.paid_from, items.started_at
    ) = 1
),

judged as (
    select
        due.*,
        continued.renewed_mrr,
        (due.decided_at >= {{ as_of_end() }} and due.status <> 'canceled')
        or due.overdue_until = timestamp 'infinity' as is_pending,
    from due
    left join continued using (account_id, subscription_id, term_end_date)
),

-- What an account starts after contracts that ended together is shared out among them in their order.
endings as (
    select
        *,
        coalesce(
            sum(exposed_mrr) over (by_ending rows between unbounded preceding and 1 preceding), 0
        ) as shared_before,
        lead(subscription_id) over by_ending is null as is_last,
    from judged
    where renewed_mrr is null and not coalesce(is_pending, false)
    window by_ending as (partition by account_id, decided_at order by subscription_id, term_end_date)
),

started as (
    select
        items.account_id,
        endings.decided_at,
        sum({{ mrr_on('items', 'endings.decided_date') }}) as started_mrr,
    from items
    asof join (select distinct account_id, decided_at, decided_date from endings) as endings
        on items.account_id = endings.account_id and items.paid_from >= endings.decided_at
    where
        items.is_paid
        and items.paid_from = items.first_paid_from
        and items.paid_from <= endings.decided_at + {{ tolerance }}
    group by all
),

replaced as (
    select
        subscription_id,
        account_id,
        term_end_date,
        greatest(
            if(is_last, started_mrr - shared_before, least(started_mrr - shared_before, exposed_mrr)), 0
        ) as renewed_mrr,
    from endings
    inner join started using (account_id, decided_at)
),

outcomes as (
    select
        judged.* exclude (renewed_mrr),
        coalesce(judged.renewed_mrr, replaced.renewed_mrr, 0) as renewed_mrr,
        case
            when coalesce(judged.renewed_mrr, replaced.renewed_mrr) > 0 then 'renewed'
            when is_pending then 'open'
            when status <> 'canceled' and decided_at + {{ tolerance }} >= {{ as_of_end() }} then 'open'
            else 'lost'
        end as outcome,
    from judged
    left join replaced using (account_id, subscription_id, term_end_date)
)

select
    subscription_id,
    account_id,
    coalesce(plan_tier, 'unknown') as plan_tier,
    term_end_date,
    outcome,
    exposed_mrr,
    renewed_mrr,
    least(renewed_mrr, exposed_mrr) as renewed_capped,
    if(outcome = 'open', exposed_mrr, 0)::decimal(38, 6) as open_mrr,
    exposed_mrr - renewed_capped - open_mrr as lost_mrr,
    if(outcome = 'open', null, decided_at) as decided_at,
    period_start,
from outcomes
