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


{#- The rows that an incremental model yields replace those of the same unique_key, a date, in one
    transaction. A model in `batches_of` another, which has the dates, yields those of the next only: it
    is asked again, the variable done_until set to the last of them, until that is the newest or it has
    none left. Killed, it goes on where it stopped.
    New rows must be one per `grain` before they are taken in: so history need not be looked at each night. -#}
{% materialization incremental, adapter = "duckdb" %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set is_kept = existing is not none and existing.type == "table" and not should_full_refresh() -%}
    {%- set relation = this.incorporate(type = "table") -%}
    {%- set new_rows = make_temp_relation(relation) -%}
    {%- set key = config.require("unique_key") -%}
    {%- set grain = config.require("grain") -%}
    {%- do drop_other_kind(existing, "table") -%}
    {{ run_hooks(pre_hooks) }}
    {%- do run_query("set variable done_until = date '-infinity'") -%}
    {%- for number in range(100000) -%}
        {%- call statement("main") -%}
            create or replace temp table {{ new_rows }} as (
                {{ compiled_code }}
            )
        {%- endcall -%}
        {%- if run_query(repeated_rows(new_rows, grain) ~ " limit 1").rows -%}
            {%- do exceptions.raise_compiler_error(this.name ~ " would have several rows of the same " ~ grain | join(", ")) -%}
        {%- endif -%}
        {%- if number == 0 and is_kept -%}
            {%- do process_schema_changes("sync_all_columns", new_rows, existing) -%}
        {%- elif number == 0 -%}
            {%- do run_query("create or replace table " ~ relation ~ " as from " ~ new_rows ~ " limit 0") -%}
        {%- endif -%}
        {%- do run_query("delete from " ~ relation ~ " where " ~ key ~ " in (select " ~ key ~ " from " ~ new_rows ~ ")") -%}
        {%- do run_query("insert into " ~ relation ~ " by name from " ~ new_rows) -%}
        {%- do adapter.commit() -%}
        {%- if not config.get("batches_of") -%}{%- break -%}{%- endif -%}
        {%- set newest = "select max(" ~ key ~ ")::varchar from " -%}
        {%- set last = run_query(newest ~ new_rows).rows[0][0] -%}
        {%- if last in (none, run_query(newest ~ ref(config.get("batches_of"))).rows[0][0]) -%}{%- break -%}{%- endif -%}
        {%- do run_query("set variable done_until = date '" ~ last ~ "'") -%}
    {%- endfor -%}
    {{ run_hooks(post_hooks) }}
    {%- do run_query("drop table " ~ new_rows) -%}
    {%- do adapter.commit() -%}
    {{ return({"relations": [relation]}) }}
{% endmaterialization %}


{#- What changes from view to table, or back, cannot be replaced and is dropped first. -#}
{% macro drop_other_kind(existing, type) %}
    {%- if existing is not none and existing.type != type -%}
        {%- do adapter.drop_relation(existing) -%}
    {%- endif -%}
{% endmacro %}


{#- What dbt wants back of a materialization: the relation. -#}
{% macro replaced_relation(type, sql) %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set relation = this.incorporate(type = type) -%}
    {%- do drop_other_kind(existing, type) -%}
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
