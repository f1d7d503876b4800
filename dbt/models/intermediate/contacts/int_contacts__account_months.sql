{%- set measures = [
    "touches", "calls", "emails_in", "emails_out", "meetings", "answered_emails", "unanswered_emails",
    "sentiment_touches", "touches_90d", "inbound_touches_90d", "outbound_touches_90d",
    "calls_in_90d", "calls_out_90d", "emails_in_90d", "emails_out_90d", "meetings_in_90d", "meetings_out_90d",
    "threads_90d", "two_way_threads_90d",
] -%}
-- Contacts with an account in a month and in the 90 days that end at its close. An account has a row for
-- every month from its first contact and for every month in which it pays, because the one that nobody
-- contacts is the one to find; zeros are told only of months that the export can know of.
with touches as (
    select * from {{ ref('int_contacts__touches') }}
),

landed as (
    select min(landing_date) as first_landing, max(landing_date) as newest_landing,
    from {{ ref('int_quality__export_days') }}
    where
        system = 'communications'
        and export = 'touchpoints'
        and is_in_raw
        and landing_date <= {{ as_of_date() }}
),

months as (
    select
        period_start,
        period_end,
        close_date as window_end,
        newest_landing >= window_end - 1 as is_covered,
        is_complete_period,
    from {{ ref('int_quality__months') }}
    cross join landed
    where period_end > least(first_landing, (select min(occurred_date) from touches))
),

paying as (
    select account_id, period_start, closing_accounts, closing_mrr,
    from {{ ref('int_revenue__account_months') }}
    where opening_accounts + closing_accounts > 0
),

spine as (
    select account_id, period_start
    from (select account_id, min(occurred_date) as first_date from touches group by all)
    inner join months on months.period_end > first_date
    union
    select account_id, period_start
    from paying
    semi join months using (period_start)
),

in_month as (
    select
        account_id,
        {{ month_of('occurred_date') }} as period_start,
        count(*) as touches,
        count(*) filter (kind = 'call') as calls,
        count(*) filter (kind = 'email' and direction = 'inbound') as emails_in,
        count(*) filter (kind = 'email' and direction = 'outbound') as emails_out,
        count(*) filter (kind = 'meeting') as meetings,
        count(*) filter (is_question and answered_at is not null) as answered_emails,
        count(*) filter (is_question and answered_at is null) as unanswered_emails,
        sum(epoch_us(answered_at) - epoch_us(occurred_at)) as response_microseconds,
        count(sentiment) as sentiment_touches,
        sum(sentiment) as sentiment_sum,
        max(occurred_at) as last_touch_at,
        max(occurred_at) filter (direction = 'inbound') as last_inbound_at,
    from touches
    group by all
),

in_window as (
    select touches.*, months.period_start,
    from touches
    inner join months
        on
            touches.occurred_date >= months.window_end - 90
            and touches.occurred_date < months.window_end
),

window_touches as (
    select
        account_id,
        period_start,
        count(*) as touches_90d,
        count(*) filter (direction = 'inbound') as inbound_touches_90d,
        count(*) filter (direction = 'outbound') as outbound_touches_90d,
        {%- for kind in ["call", "email", "meeting"] %}
        count(*) filter (kind = '{{ kind }}' and direction = 'inbound') as {{ kind }}s_in_90d,
        count(*) filter (kind = '{{ kind }}' and direction = 'outbound') as {{ kind }}s_out_90d,
        {%- endfor %}
    from in_window
    group by all
),

thread_directions as (
    select account_id, period_start, thread_id, count(distinct direction) as directions,
    from in_window
    where thread_id is not null
    group by all
),

window_threads as (
    select
        account_id,
        period_start,
        count(*) as threads_90d,
        count(*) filter (directions = 2) as two_way_threads_90d,
    from thread_directions
    group by all
)

select
    account_id,
    period_start,
    months.period_end,
    {%- for measure in measures %}
    coalesce({{ measure }}, 0) as {{ measure }},
    {%- endfor %}
    -- Decimals, so that sums do not depend on the order of rows.
    (coalesce(response_microseconds, 0) * 0.000001)::decimal(38, 6) as response_seconds,
    coalesce(sentiment_sum, 0)::decimal(38, 6) as sentiment_sum,
    coalesce(paying.closing_accounts, 0) as paying_accounts,
    if(touches_90d > 0, coalesce(paying.closing_accounts, 0), 0) as contacted_paying_accounts,
    coalesce(paying.closing_mrr, 0)::decimal(38, 6) as mrr,
    max(last_touch_at) over by_account as last_touch_at,
    max(last_inbound_at) over by_account as last_inbound_at,
    {{ local_date('max(last_touch_at) over by_account') }} as last_touch_date,
    date_diff('day', last_touch_date, months.window_end - 1) as last_touch_days,
    months.is_covered,
    months.is_complete_period,
from spine
inner join months using (period_start)
left join in_month using (account_id, period_start)
left join window_touches using (account_id, period_start)
left join window_threads using (account_id, period_start)
left join paying using (account_id, period_start)
window by_account as (partition by account_id order by period_start)
