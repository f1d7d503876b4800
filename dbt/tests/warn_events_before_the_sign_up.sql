-- Kept and counted: events and orders of days before that of their account's sign-up.
{{ config(severity = 'warn') }}
{%- for export, entity, rows, day in [("events", "int_usage__account_days", "sum(events)", "occurred_date"), ("orders", "int_onboarding__orders", "count(*)", "ordered_date")] %}
select '{{ export }}' as export, {{ rows }} as rows_before_sign_up,
from {{ ref(entity) }}
inner join {{ ref('int_accounts__accounts') }} as accounts using (account_id)
where {{ day }} < {{ local_date('signed_up_at') }}
having count(*) > 0
{{ "union all" if not loop.last }}
{%- endfor %}
