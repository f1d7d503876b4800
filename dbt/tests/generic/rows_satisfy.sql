{#- Every row fulfils `condition`; null is not fulfilment. -#}
{% test rows_satisfy(model, condition) %}
select *
from {{ model }}
where not coalesce({{ condition }}, false)
{% endtest %}
