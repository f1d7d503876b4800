-- Kept and counted: an event or an order dated before its account signed up.
{{ config(severity = 'warn') }}
{%- for export, entity, at in [("events", "int_usage__events", "occurred_at"), ("orders", "int_onboarding__orders", "ordered_at")] %}
select '{{ export }}' as export, count(*) as rows_before_sign_up,
from {{ ref(entity) }}
inner join {{ ref('int_accounts__accounts') }} as accounts using (account_id)
where {{ at }} < signed_up_at
having count(*) > 0
{{ "union all" if not loop.last }}
{%- endfor %}
