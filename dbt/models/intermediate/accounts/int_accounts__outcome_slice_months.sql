-- Outcomes by the month in which they were due, as far as that day has come, summed by slice.
with due as (
    select
        account_id,
        status,
        value,
        {{ month_of('due_date') }} as period_start,
    from {{ ref('int_accounts__desired_outcomes') }}
    where due_date <= {{ as_of_date() }}
),

sliced as (
    {{ by_slice('due') }}
),

sums as (
    select
        slice_dimension,
        slice_value,
        period_start,
        count(*) as due_outcomes,
        count(*) filter (status in ('achieved', 'achieved_late')) as achieved_outcomes,
        count(*) filter (status = 'achieved') as outcomes_achieved_on_time,
        coalesce(sum(value), 0) as due_value,
        coalesce(sum(value) filter (status in ('achieved', 'achieved_late')), 0) as achieved_value,
    from sliced
    group by all
)

select
    slices.slice_dimension,
    slices.slice_value,
    {%- for count in ["due_outcomes", "achieved_outcomes", "outcomes_achieved_on_time"] %}
    coalesce({{ count }}, 0) as {{ count }},
    {%- endfor %}
    {%- for amount in ["due_value", "achieved_value"] %}
    coalesce({{ amount }}, 0)::decimal(38, 4) as {{ amount }},
    {%- endfor %}
    months.is_complete_period,
    months.period_start,
    months.period_end,
from (select distinct slice_dimension, slice_value from sliced) as slices
cross join {{ ref('int_quality__months') }} as months
left join sums using (slice_dimension, slice_value, period_start)
where months.period_start >= (select min(period_start) from due)
