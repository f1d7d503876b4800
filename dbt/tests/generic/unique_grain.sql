{#- Proves the sentence that ends a model's description: one row per `columns`. Of a table that grows by the
    day `recent` names the column of days, and only the 31 newest are looked at: older days were when they
    were new, and a night must not cost more with every month of history. -#}
{% test unique_grain(model, columns, recent = none) %}
select {{ columns | join(", ") }}, count(*) as rows_of_one_grain
from {{ model }}
{%- if recent %}
where {{ recent }} > (select max({{ recent }}) - 31 from {{ model }})
{%- endif %}
group by all
having count(*) > 1
{% endtest %}
