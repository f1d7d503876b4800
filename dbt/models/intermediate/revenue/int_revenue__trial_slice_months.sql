{%- set rated = {"": var("trial_window_days"), "_30": 30, "_60": 60, "_90": 90} %}
{%- set measures = ["started_trials", "running_trials", "matured_trials", "converted_trials", "failed_first_payment_trials"] %}
-- Trials by the month in which they began, summed by slice, a row for every month since the first.
with sums as (
    select
        slice_dimension,
        slice_value,
        period_start,
        count(*) as started_trials,
        count(*) filter (is_running) as running_trials,
        count(*) filter (is_matured) as matured_trials,
        count(*) filter (is_matured and is_converted) as converted_trials,
        count(*) filter (is_matured and is_failed_first_payment) as failed_first_payment_trials,
        {%- for suffix, days in rated.items() %}
        count(*) filter (is_rated_{{ days }}) as rated_trials{{ suffix }},
        count(*) filter (is_rated_{{ days }} and is_converted_{{ days }}) as rated_conversions{{ suffix }},
        {%- endfor %}
    from {{ ref('int_revenue__trials') }}
    inner join {{ ref('int_accounts__slices') }} using (account_id)
    group by all
)

select
    slice_dimension,
    slice_value,
    {%- for measure in measures %}
    coalesce({{ measure }}, 0) as {{ measure }},
    {%- endfor %}
    {%- for suffix in rated %}
    coalesce(rated_trials{{ suffix }}, 0) as rated_trials{{ suffix }},
    coalesce(rated_conversions{{ suffix }}, 0) as rated_conversions{{ suffix }},
    {%- endfor %}
    is_complete_period,
    period_start,
    period_end,
from ({{ slice_months("sums") }})
left join sums using (slice_dimension, slice_value, period_start)
