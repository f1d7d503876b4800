{#- Proves the sentence that ends a model's description: one row per `columns`. An incremental model that
    proves its rows before it takes them in, and a view of one, may name its column of days as `recent`: of
    it the 31 newest are looked at. -#}
{% test unique_grain(model, columns, recent = none) %}
{{ repeated_rows(model, columns, recent ~ " > (select max(" ~ recent ~ ") - 31 from " ~ model ~ ")" if recent) }}
{% endtest %}
