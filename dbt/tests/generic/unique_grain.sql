{#- Proves the sentence that ends a model's description: one row per `columns`. -#}
{% test unique_grain(model, columns) %}
select {{ columns | join(", ") }}, count(*) as rows_of_one_grain
from {{ model }}
group by all
having count(*) > 1
{% endtest %}
