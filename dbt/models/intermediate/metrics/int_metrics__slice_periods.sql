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
                    sample_size: cast({{ metric.sample or "null" }} as bigint),
                    min_sample: {{ var(metric.min_sample) }},
                    reason_null: {{ metric_reason_of(metric) }}
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
    reason_null,
    if(reason_null is null, unrounded, null) as value,
    sample_size,
    coalesce(sample_size < min_sample, false) as is_small_sample,
    is_complete_period,
    period_start,
    period_end,
from evaluated
where metric_name is not null
