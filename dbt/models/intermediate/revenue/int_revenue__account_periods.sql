{% set tolerance = "interval " ~ var("gap_tolerance_days") ~ " day" %}
-- The step function of an account's MRR, item by item: between two neighbouring starts and ends of its
-- items nothing changes. Zero-priced time is no customer time, unless free_after_paid keeps a paid
-- account on.
with items as (
    select *, coalesce(covered_to, {{ as_of_end() }}) as covered_until
    from {{ ref('int_revenue__item_periods') }}
    where mrr is not null
),

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
    qualify period_to is not null
),

active as (
    select segments.*, items.* exclude (account_id),
    from segments
    inner join items
        on
            segments.account_id = items.account_id
            and segments.period_from >= items.covered_from
            and segments.period_from < items.covered_until
    {% if var("account_mrr_policy") == "latest_start" -%}
    qualify row_number() over (
        partition by segments.account_id, segments.period_from
        order by items.started_at desc, items.mrr desc, items.subscription_id desc
    ) = 1
    {%- endif %}
),

account_totals as (
    select account_id, period_from, period_to, sum(mrr) as mrr,
    from active
    group by all
),

{% if var("free_after_paid") == "contraction" -%}
-- Free time that follows paid time, unless it is but a short hole in it.
paid_around as (
    select
        *,
        max(period_to) filter (mrr > 0) over (
            by_account rows between unbounded preceding and current row
        ) as paid_until,
        min(period_from) filter (mrr > 0) over (
            by_account rows between current row and unbounded following
        ) as paid_again_from,
    from account_totals
    window by_account as (partition by account_id order by period_from)
),

{% endif -%}
customer_segments as (
    {% if var("free_after_paid") == "contraction" -%}
    select account_id, period_from, period_to, mrr,
    from paid_around
    where mrr > 0 or coalesce(paid_again_from, timestamp 'infinity') > paid_until + {{ tolerance }}
    {%- else -%}
    select account_id, period_from, period_to, mrr,
    from account_totals
    where mrr > 0
    {%- endif %}
),

neighbours as (
    select
        *,
        if(mrr > 0 and lead(mrr) over by_account > 0, lead(period_from) over by_account, null) as next_from,
        lag(period_to) over by_account as previous_to,
    from customer_segments
    window by_account as (partition by account_id order by period_from)
),

-- A short hole in the cover carries the last MRR up to the next paid time; a longer one ends the spell.
bridged as (
    select
        account_id,
        period_from,
        if(next_from <= period_to + {{ tolerance }}, next_from, period_to) as period_to,
        count(*) filter (previous_to is null or period_from > previous_to + {{ tolerance }})
            over (partition by account_id order by period_from) as spell_number,
    from neighbours
)

select
    account_id,
    bridged.spell_number,
    active.subscription_id,
    active.started_at,
    active.plan_tier,
    active.term_end_date,
    active.currency,
    active.mrr_original,
    active.mrr,
    if(active.mrr > 0, active.quantity, 0) as seats,
    bridged.period_from,
    bridged.period_to,
from bridged
inner join active using (account_id, period_from)
