-- Every entry of the registry at every slice and period. Each measures model is read once: a row of it
-- becomes a row for each of its metrics.
with evaluated as (
    {%- for model, metrics in metrics_by_measures().items() %}
    select
        slice_dimension,
        slice_value,
        unnest(
            [
                {%- for metric in metrics %}
                {% if metric.where %}case when {{ metric.where }} then {% endif -%}
                {
                    metric_name: '{{ metric.name }}',
                    period_grain: '{{ metric.grain }}',
                    numerator: cast({{ metric.numerator }} as decimal(38, 6)),
                    denominator: cast({{ metric.denominator or "null" }} as decimal(38, 6)),
                    unrounded: {{ metric_value(metric) }},
                    is_empty: ({{ metric.denominator or "null" }}) = 0,
                    is_unknown: ({{ metric.numerator }}) is null{% if metric.denominator %} or ({{ metric.denominator }}) is null{% endif %},
                    sample_size: cast({{ metric.sample or "null" }} as bigint),
                    min_sample: {{ var(metric.min_sample) }},
                    is_too_early: {{ metric.too_early or "false" }},
                    if_empty: '{{ metric.if_empty }}'
                }
                {%- if metric.where %} end{% endif %},
                {%- endfor %}
            ],
            max_depth := 2
        ),
        is_complete_period,
        period_start,
        period_end,
    from {{ ref(model) }}
    {{ "union all by name" if not loop.last }}
    {%- endfor %}
)

select
    metric_name,
    period_grain,
    slice_dimension,
    slice_value,
    numerator,
    denominator,
    case
        when is_too_early then 'insufficient_history'
        when is_empty then if_empty
        when is_unknown then 'no_data'
    end as reason_null,
    if(reason_null is null, unrounded, null) as value,
    sample_size,
    coalesce(sample_size < min_sample, false) as is_small_sample,
    is_complete_period,
    period_start,
    period_end,
from evaluated
where metric_name is not null
