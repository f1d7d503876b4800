{#- Proves the sentence that ends a model's description: one row per `columns`. A view of a table whose own
    grain is proven over all of history may name its column of days as `recent`: of it the 31 newest are
    looked at. -#}
{% test unique_grain(model, columns, recent = none) %}
select {{ columns | join(", ") }}, count(*) as rows_of_one_grain
from {{ model }}
{%- if recent %}
where {{ recent }} > (select max({{ recent }}) - 31 from {{ model }})
{%- endif %}
group by all
having count(*) > 1
{% endtest %}
