{% set tolerance = "interval " ~ var("gap_tolerance_days") ~ " day" %}
-- When a subscription row counts for its account, and in which paid spell: its cover, up to the next paid
-- time where only a short hole follows. An account's MRR at any moment is the sum over the rows that count
-- then. Zero-priced time is no customer time, unless free_after_paid keeps a paid account on.
with items as (
    select *, coalesce(covered_to, {{ as_of_end() }}) as covered_until
    from {{ ref('int_revenue__item_periods') }}
    where mrr is not null and covered_from < covered_until
),

{% if var("account_mrr_policy") == "latest_start" -%}
-- Between two neighbouring starts and ends of an account's items nothing changes.
boundaries as (
    select account_id, covered_from as period_from from items
    union
    select account_id, covered_until from items
),

segments as (
    select
        account_id,
        period_from,
        lead(period_from) over (partition by account_id order by period_from) as period_to,
    from boundaries
),

counting as (
    select items.* replace (segments.period_from as covered_from, segments.period_to as covered_until),
    from segments
    inner join items
        on
            segments.account_id = items.account_id
            and segments.period_from >= items.covered_from
            and segments.period_from < items.covered_until
    qualify row_number() over (
        partition by segments.account_id, segments.period_from
        order by items.started_at desc, items.mrr desc, items.subscription_id desc
    ) = 1
),

{% else -%}
counting as (
    select * from items
),

{% endif -%}
{% if var("free_after_paid") == "contraction" -%}
-- How many items begin less how many have ended: cover from there to the next step, paid or free.
changes as (
    select
        account_id,
        unnest([covered_from, covered_until]) as changed_at,
        unnest([1, -1]) as items,
        if(mrr > 0, items, 0) as paid_items,
    from counting
),

steps as (
    select
        account_id,
        changed_at,
        sum(sum(items)) over by_account as items_after,
        items_after - sum(items) as items_before,
        sum(sum(paid_items)) over by_account as paid_after,
        paid_after - sum(paid_items) as paid_before,
    from changes
    group by account_id, changed_at
    window by_account as (partition by account_id order by changed_at)
),

-- Most steps leave a paying account paying; the others are where cover, or paid cover, begins and ends.
stretches as (
    select
        account_id,
        changed_at as period_from,
        lead(changed_at) over (partition by account_id order by changed_at) as period_to,
        paid_after > 0 as is_paid,
    from steps
    where (paid_after > 0) <> (paid_before > 0) or (items_after > 0) <> (items_before > 0)
    qualify items_after > 0
),

-- Paid time, and free time that goes on from it, unless it is but a short hole in it.
customer_stretches as (
    select * from stretches
    window by_account as (partition by account_id order by period_from)
    qualify
        is_paid
        or (
            period_from = lag(period_to) over by_account
            and period_from + {{ tolerance }} < coalesce(
                min(period_from) filter (is_paid) over (by_account rows between 1 following and unbounded following),
                timestamp 'infinity'
            )
        )
),

{% else -%}
-- Paid time begins where no paid item before reaches, and lasts until all before the next have ended.
beginnings as (
    select
        account_id,
        covered_from as period_from,
        max(covered_until) over (
            partition by account_id order by covered_from rows between unbounded preceding and 1 preceding
        ) as ended_before,
        max(covered_until) over (partition by account_id) as ends_last,
    from counting
    where mrr > 0
    qualify period_from > ended_before or ended_before is null
),

customer_stretches as (
    select
        account_id,
        period_from,
        coalesce(lead(ended_before) over (partition by account_id order by period_from), ends_last) as period_to,
        true as is_paid,
    from beginnings
),

{% endif -%}
neighbours as (
    select
        account_id,
        period_from,
        period_to,
        if(lead(is_paid) over by_account, lead(period_from) over by_account, null) as next_from,
        lag(period_to) over by_account as previous_to,
    from customer_stretches
    window by_account as (partition by account_id order by period_from)
),

-- A short hole in the cover carries the last MRR up to the next paid time; any other ends the spell.
bridged as (
    select
        account_id,
        period_from,
        period_to,
        if(next_from <= period_to + {{ tolerance }}, next_from, period_to) as carried_to,
        count(*) filter (previous_to is null or period_from > previous_to + {{ tolerance }})
            over (partition by account_id order by period_from) as spell_number,
    from neighbours
)

select
    counting.account_id,
    bridged.spell_number,
    counting.subscription_id,
    counting.started_at,
    counting.plan_tier,
    counting.term_end_date,
    counting.currency,
    counting.mrr_original,
    counting.mrr,
    if(counting.mrr > 0, counting.quantity, 0) as seats,
    greatest(counting.covered_from, bridged.period_from) as period_from,
    if(counting.covered_until < bridged.period_to, counting.covered_until, bridged.carried_to) as period_to,
from counting
inner join bridged
    on
        counting.account_id = bridged.account_id
        and counting.covered_from < bridged.period_to
        and counting.covered_until > bridged.period_from
