{#- Proves the sentence that ends a model's description: one row per `columns`. An incremental model that
    proves its rows before it takes them in, and a view of one, may name its column of dates as `recent`: of
    it those within 31 days of the newest are looked at. -#}
{% test unique_grain(model, columns, recent = none) %}
{{ repeated_rows(model, columns, recent ~ " > (select max(" ~ recent ~ ") - 31 from " ~ model ~ ")" if recent) }}
{% endtest %}
