{#- What decides over the rows that `sql` yields besides its inputs: its own text, with every policy and
    macro in it rendered, and the code of every model and seed that feeds it. Rows of an incremental
    model that were computed under another version are computed again. -#}
{% macro code_version(sql) -%}
    {%- set names = [model.unique_id] -%}
    {%- set checksums = [] -%}
    {%- if execute -%}
        {%- for name in names if name in graph.nodes -%}
            {%- do checksums.append(graph.nodes[name].checksum.checksum) -%}
            {%- for parent in graph.nodes[name].depends_on.nodes if parent not in names -%}
                {%- do names.append(parent) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{- local_md5(sql ~ checksums | sort | join) -}}
{%- endmacro %}


{#- Those of `columns` that more than one row of `relation` has, and how many have them. -#}
{% macro repeated_rows(relation, columns, condition = none) %}
    select {{ columns | join(", ") }}, count(*) as rows_of_one_grain
    from {{ relation }}
    {%- if condition %}
    where {{ condition }}
    {%- endif %}
    group by all
    having count(*) > 1
{% endmacro %}
