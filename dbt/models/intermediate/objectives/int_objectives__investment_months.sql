-- The months in which an investment is measured: three complete ones before its day (-3 to -1) and three
-- after it (1 to 3); a month that it cuts in two is neither. Beside its own segment stand the segments
-- that no investment touched in those months.
with measured as (
    select
        investment_id,
        scope_segment,
        unnest([-3, -2, -1, 1, 2, 3]) as month_offset,
        -- The month itself if it begins on the day, else the next one.
        {{ month_of('invested_on + interval 1 month - interval 1 day') }} as first_month,
        cast(
            if(
                month_offset < 0,
                date_trunc('month', invested_on) + to_months(month_offset),
                first_month + to_months(month_offset - 1)
            ) as date
        ) as period_start,
    from {{ ref('investments') }}
),

neighbours as (
    select distinct measured.investment_id, measured.scope_segment, others.investment_id as other_id,
        others.scope_segment as touched_segment,
    from measured
    inner join measured as others using (period_start)
),

overlapping as (
    select investment_id, list(other_id order by other_id) as overlapping_investments,
    from neighbours
    where
        other_id <> investment_id
        and (touched_segment = scope_segment or 'all' in (touched_segment, scope_segment))
    group by all
),

segments as (
    select
        *,
        slice_dimension = 'segment' as is_segment,
        slice_value as segment,
    from {{ ref('int_revenue__slice_months') }}
    where {{ is_whole_or_segment() }}
),

sides as (
    select distinct investment_id, 'scope' as side, scope_segment as segment,
    from measured
    union all
    select investments.investment_id, 'comparison' as side, untouched.segment,
    from {{ ref('investments') }} as investments
    cross join (
        -- What touched accounts of an unknown segment is unknown too.
        select distinct segment from segments where is_segment and segment <> 'unknown'
    ) as untouched
    anti join neighbours
        on
            neighbours.investment_id = investments.investment_id
            and neighbours.touched_segment in ('all', untouched.segment)
),

growth as (
    select
        measured.investment_id,
        sides.side,
        measured.month_offset,
        measured.period_start,
        list(sides.segment order by sides.segment) as segments,
        sum(segments.opening_mrr) as opening_mrr,
        sum(segments.fx_mrr) as fx_mrr,
        sum(segments.expansion_mrr) as expansion_mrr,
        sum(segments.contraction_mrr) as contraction_mrr,
        sum(segments.churned_mrr) as churned_mrr,
    from measured
    inner join sides using (investment_id)
    left join segments using (segment, period_start)
    group by all
),

members as (
    select account_id, slice_value as scope_segment,
    from {{ ref('int_accounts__slices') }}
    where {{ is_whole_or_segment() }}
),

-- Who paid when the three months began, and what they pay at the close of each.
installed as (
    select
        measured.investment_id,
        measured.month_offset,
        sum(base.closing_mrr) as base_mrr,
        sum(later.closing_mrr) as base_mrr_now,
    from measured
    inner join members using (scope_segment)
    inner join {{ ref('int_revenue__account_months') }} as base
        on
            members.account_id = base.account_id
            and base.period_start = measured.first_month - interval 1 month
            and base.closing_accounts = 1
    inner join {{ ref('int_revenue__account_months') }} as later
        on members.account_id = later.account_id and measured.period_start = later.period_start
    where measured.month_offset > 0
    group by all
)

select
    investment_id,
    growth.side,
    month_offset,
    growth.segments,
    overlapping.overlapping_investments,
    growth.opening_mrr,
    growth.fx_mrr,
    growth.expansion_mrr,
    growth.contraction_mrr,
    growth.churned_mrr,
    if(growth.side = 'scope', installed.base_mrr, null) as base_mrr,
    if(growth.side = 'scope', installed.base_mrr_now, null) as base_mrr_now,
    growth.period_start + interval 1 month <= {{ as_of_date() }} + 1 as is_complete_period,
    growth.period_start,
from growth
left join installed using (investment_id, month_offset)
left join overlapping using (investment_id)
