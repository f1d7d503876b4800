{%- set states = ["new", "late_start", "returning", "resurrecting", "dormant", "inactive", "never_active"] %}
select
    period_grain,
    slice_dimension,
    slice_value,
    {%- for state in states %}
    count(*) filter (state = '{{ state }}') as {{ state }}_accounts,
    {%- endfor %}
    count(*) filter (state in ('new', 'late_start', 'returning', 'resurrecting')) as active_accounts,
    count(*) as accounts,
    is_complete_period,
    period_start,
    period_end,
from ({{ by_slice(ref('int_usage__account_states')) }})
group by all
