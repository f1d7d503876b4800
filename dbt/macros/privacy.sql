{#- What people are called and what they wrote, in marts: the only way of a column tagged pii into one. -#}

{#- A name, unless the policy withholds names. -#}
{% macro published_name(column) -%}
    {{ column if var("publish_names") == "all" else "cast(null as varchar)" }}
{%- endmacro %}


{#- Free text, unless the policy withholds it; e-mail addresses in it are names. -#}
{% macro published_text(column) -%}
    {%- if var("publish_comments") == "none" -%}
    cast(null as varchar)
    {%- elif var("publish_names") == "all" -%}
    {{ column }}
    {%- else -%}
    regexp_replace({{ column }}, '[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+', '[e-mail]', 'g')
    {%- endif -%}
{%- endmacro %}
