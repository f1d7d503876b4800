{#- Tables and views as DuckDB replaces them: in one statement, which a reader or a kill sees done or not
    done. dbt's own build aside, rename twice, commit and drop, which costs more than a small model. -#}
{% materialization table, adapter = "duckdb" %}
    {{ return(replaced_relation("table", compiled_code)) }}
{% endmaterialization %}


{% materialization view, adapter = "duckdb" %}
    {%- if config.get("contract").enforced -%}
        {%- do get_assert_columns_equivalent(compiled_code) -%}
    {%- endif -%}
    {{ return(replaced_relation("view", compiled_code)) }}
{% endmaterialization %}


{#- What dbt wants back of a materialization: the relation. One that changes from view to table, or back,
    cannot be replaced and is dropped first. -#}
{% macro replaced_relation(type, sql) %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set relation = this.incorporate(type = type) -%}
    {%- if existing is not none and existing.type != type -%}
        {%- do adapter.drop_relation(existing) -%}
    {%- endif -%}
    {{ run_hooks(pre_hooks) }}
    {%- call statement("main") -%}
        create or replace {{ type }} {{ relation }} as (
            {{ sql }}
        )
    {%- endcall -%}
    {{ run_hooks(post_hooks) }}
    {%- do adapter.commit() -%}
    {{ return({"relations": [relation]}) }}
{% endmacro %}
