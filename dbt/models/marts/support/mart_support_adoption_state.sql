-- Few tickets may mean that all is well or that nobody is there; usage tells which. Both are rates over the
-- days of the account in the month, each against the quartiles of the paying accounts of its segment, or of
-- all where the segment has too few. Nothing at all is low, and what equals a quartile is normal.
with paying as (
    select
        revenue.account_id,
        revenue.period_start,
        months.period_end,
        months.is_complete_period,
        slices.slice_value as segment,
        revenue.closing_mrr as mrr,
        support.exposure_days,
        coalesce(support.tickets, 0) as tickets,
        if(heard_of.first_month <= revenue.period_start, coalesce(usage_months.active_events, 0), null) as active_events,
    from {{ ref('int_revenue__account_months') }} as revenue
    inner join {{ ref('int_quality__months') }} as months using (period_start)
    inner join {{ ref('int_accounts__slices') }} as slices
        on revenue.account_id = slices.account_id and slices.slice_dimension = 'segment'
    left join {{ ref('int_support__account_months') }} as support
        on revenue.account_id = support.account_id and revenue.period_start = support.period_start
    left join {{ ref('int_usage__account_months') }} as usage_months
        on revenue.account_id = usage_months.account_id and revenue.period_start = usage_months.period_start
    -- The usage export speaks of an account if it ever names it, and of no month before its first.
    left join (
        select distinct account_id, min(period_start) over () as first_month,
        from {{ ref('int_usage__account_months') }}
    ) as heard_of on revenue.account_id = heard_of.account_id
    where revenue.closing_accounts = 1 and exists (from {{ ref('int_support__account_months') }})
),

rated as (
    select
        *,
        {{ metric('ticket_rate') }} as ticket_rate,
        {{ metric('usage_rate') }} as usage_rate,
    from paying
),

-- One row per month and segment, and one per month with segment null for all.
quartiles as (
    select
        period_start,
        segment,
        {%- for rate in ["ticket_rate", "usage_rate"] %}
        count({{ rate }}) as {{ rate }}_accounts,
        quantile_cont({{ rate }}, 0.25) as {{ rate }}_q1,
        quantile_cont({{ rate }}, 0.75) as {{ rate }}_q3,
        {%- endfor %}
    from rated
    group by grouping sets ((period_start, segment), (period_start))
),

compared as (
    select
        rated.*,
        {%- for rate in ["ticket_rate", "usage_rate"] %}
        if(peers.{{ rate }}_accounts < {{ var("min_quartile_accounts") }}, 'total', 'segment') as {{ rate }}_peers,
        {%- for quartile in ["q1", "q3"] %}
        if({{ rate }}_peers = 'total', everyone.{{ rate }}_{{ quartile }}, peers.{{ rate }}_{{ quartile }})
            as {{ rate }}_{{ quartile }},
        {%- endfor %}
        {%- endfor %}
        everyone.ticket_rate_accounts < {{ var("min_quartile_accounts") }} as is_small_sample,
    from rated
    inner join quartiles as peers
        on rated.period_start = peers.period_start and rated.segment = peers.segment
    inner join quartiles as everyone
        on rated.period_start = everyone.period_start and everyone.segment is null
),

banded as (
    select
        *,
        case
            when tickets = 0 or ticket_rate < ticket_rate_q1 then 'low'
            when ticket_rate > ticket_rate_q3 then 'high'
            else 'normal'
        end as ticket_band,
        case
            when active_events is null then 'unknown'
            when active_events = 0 or usage_rate < usage_rate_q1 then 'low'
            when usage_rate > usage_rate_q3 then 'high'
            else 'normal'
        end as usage_band,
    from compared
)

select
    account_id,
    segment,
    case
        when usage_band = 'unknown' then 'unknown_usage'
        when ticket_band = 'high' and usage_band = 'low' then 'noisy_struggling'
        when ticket_band = 'high' then 'noisy_engaged'
        when usage_band = 'low' then 'quiet_disengaged'
        else 'quiet_healthy'
    end as state,
    ticket_band,
    usage_band,
    mrr,
    exposure_days,
    tickets,
    active_events,
    ticket_rate,
    ticket_rate_q1,
    ticket_rate_q3,
    ticket_rate_peers,
    usage_rate,
    usage_rate_q1,
    usage_rate_q3,
    usage_rate_peers,
    is_small_sample,
    is_complete_period,
    period_start,
    period_end,
from banded
