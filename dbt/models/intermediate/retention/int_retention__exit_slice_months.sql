{%- set measures = ["exits", "exits_with_reason", "exits_with_destination", "exits_won_back", "cancellations", "cancellations_without_exit"] -%}
-- The reasons of int_retention__exit_reasons summed.
select
    slice_dimension,
    slice_value,
    {%- for measure in measures %}
    sum({{ measure }})::bigint as {{ measure }},
    {%- endfor %}
    is_complete_period,
    period_start,
    period_end,
from {{ ref('int_retention__exit_reasons') }}
group by all
