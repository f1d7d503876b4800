{#- What policies and definitions say, as literals of SQL, whatever is in them. -#}

{% macro text(value) -%}
    {{ "null" if value is none or value is undefined else "'" ~ value | string | replace("'", "''") ~ "'" }}
{%- endmacro %}


{#- Whether a list that is separated by commas names a value. -#}
{% macro is_named(value, list) -%}
    coalesce({{ value }} in ({% for name in (list or "").split(",") %}{{ text(name | trim) }}{{ ", " if not loop.last }}{% endfor %}), false)
{%- endmacro %}
