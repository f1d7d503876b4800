{%- set measures = [
    "paying_accounts", "contacted_paying_accounts", "touches", "calls", "emails_in", "emails_out",
    "meetings", "answered_emails", "unanswered_emails", "response_seconds", "sentiment_touches",
    "sentiment_sum", "touches_90d", "threads_90d", "two_way_threads_90d",
] -%}
-- The measures of int_contacts__account_months summed by slice.
select
    slice_dimension,
    slice_value,
    period_start,
    period_end,
    {%- for measure in measures %}
    sum({{ measure }}){{ "::bigint" if measure not in ["response_seconds", "sentiment_sum"] }} as {{ measure }},
    {%- endfor %}
    is_complete_period,
from ({{ by_slice(ref('int_contacts__account_months')) }})
group by all
