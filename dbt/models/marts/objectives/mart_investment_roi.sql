-- Growth of the installed base in the three complete months after an investment against the three before
-- it. Without three months before nothing can be said; until the three after are closed it is pending.
with months as (
    select
        *,
        if(is_complete_period, {{ metric('installed_base_growth_rate') }}, null) as growth_rate,
    from {{ ref('int_objectives__investment_months') }}
),

sides as (
    select
        investment_id,
        side,
        any_value(segments) as segments,
        any_value(overlapping_investments) as overlapping_investments,
        bool_and(is_complete_period) filter (month_offset < 0) as is_baseline_over,
        bool_and(is_complete_period) as is_over,
        count(growth_rate) filter (month_offset < 0) as baseline_months,
        if(baseline_months = 3, avg(growth_rate order by month_offset) filter (month_offset < 0), null) as g0,
        {%- for month in [1, 2, 3] %}
        max(growth_rate) filter (month_offset = {{ month }}) as g{{ month }},
        max(base_mrr_now) filter (month_offset = {{ month }} and is_complete_period) as mrr_{{ month }},
        {%- endfor %}
        max(base_mrr) as mrr_0,
        100 * ((g1 + g2 + g3) / 3 - g0) as uplift_pp,
    from months
    group by all
),

measured as (
    select
        investments.* exclude (gross_margin_rate),
        coalesce(investments.gross_margin_rate, 1) as gross_margin_rate,
        scope.* exclude (investment_id, side, segments),
        comparison.segments as comparison_segments,
        comparison.uplift_pp as comparison_uplift_pp,
        scope.uplift_pp - comparison.uplift_pp as did_uplift,
        {%- for month in [1, 2, 3] %}
        scope.mrr_{{ month }} - scope.mrr_0 * power(1 + scope.g0, {{ month }}) as incremental_mrr_{{ month }},
        {%- endfor %}
        case
            when not scope.is_baseline_over then 'pending'
            when scope.baseline_months < 3 then 'insufficient_history'
            when not scope.is_over then 'pending'
            -- Cut where floating point ends: equal growth is no uplift. It is null where all have left.
            when round(scope.uplift_pp, 9) > 0 then 'achieved'
            else 'not_achieved'
        end as status,
    from {{ ref('investments') }} as investments
    left join sides as scope
        on investments.investment_id = scope.investment_id and scope.side = 'scope'
    left join sides as comparison
        on investments.investment_id = comparison.investment_id and comparison.side = 'comparison'
)

select
    investment_id,
    name,
    scope_segment,
    status,
    cost,
    gross_margin_rate,
    baseline_months,
    g0,
    g1,
    g2,
    g3,
    uplift_pp,
    if(status in ('achieved', 'not_achieved'), status = 'achieved', null) as achieved_within_3m,
    comparison_uplift_pp,
    did_uplift,
    array_to_string(comparison_segments, ', ') as comparison_segments,
    mrr_0,
    mrr_1,
    mrr_2,
    mrr_3,
    incremental_mrr_1,
    incremental_mrr_2,
    incremental_mrr_3,
    incremental_mrr_1 + incremental_mrr_2 + incremental_mrr_3 as incremental_mrr,
    {{ ratio('incremental_mrr * gross_margin_rate - cost', 'cost') }} as roi,
    case
        when status not in ('achieved', 'not_achieved') then status
        when cost = 0 then 'zero_cost'
    end as reason_null,
    overlapping_investments is not null as overlap_flag,
    array_to_string(overlapping_investments, ', ') as overlapping_investments,
    invested_on,
from measured
