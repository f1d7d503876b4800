-- One score from the components that are there, their weights re-based. Too little of the weight there: no
-- score. The policy health_model decides which reading is the headline; both stand here, and what a person
-- says stands beside them.
with listed as (
    select
        account_id,
        period_start,
        min(score) as worst_of_score,
        arg_min(component, (score, component)) as weakest_component,
        -- In the order of their names, so that sums do not depend on the order of rows.
        list_sort(list(
            {'component': component, 'value': value, 'score': score, 'weight': weight, 'contribution': contribution}
        )) as components,
    from {{ ref('int_health__account_components') }}
    group by all
),

scored as (
    select
        *,
        round(
            list_sum([c.score * c.weight for c in components]) / list_sum([c.weight for c in components if c.score is not null]),
            9
        ) as weighted_score,
        coalesce(list_sum([c.weight for c in components if c.value is not null]), 0) / list_sum([c.weight for c in components])
            as coverage,
    from listed
),

overrides as (
    select account_id, period_start, band as override_band, reason as override_reason,
    from {{ ref('health_overrides') }}
    inner join {{ ref('int_quality__months') }} on close_date - 1 >= valid_from and close_date - 1 < valid_to
    qualify row_number() over (partition by account_id, period_start order by valid_from desc) = 1
)

select
    scored.* exclude (components),
    if(
        coverage >= {{ var("health_min_coverage") }},
        {{ "worst_of_score" if var("health_model") == "worst_of" else "weighted_score" }},
        null
    ) as health_score,
    case
        when health_score < {{ var("health_amber_from") }} then 'red'
        when health_score < {{ var("health_green_from") }} then 'amber'
        when health_score is not null then 'green'
        else 'unknown'
    end as band,
    override_band,
    override_reason,
    coalesce(override_band, band) as effective_band,
    components,
from scored
left join overrides using (account_id, period_start)
