{#- An entity is the union of the systems that are on, each with its newest state by the as-of day.
    `exports` names the staging models that feed it, as [system, export] pairs; `with_system` adds the
    system that a row comes from. -#}

{#- The exports of an entity that several systems deliver. -#}
{% macro exports_of(entity) %}
    {{ return({
        "accounts": [["crm", "accounts"], ["ravenstack", "accounts"]],
        "subscriptions": [["billing", "subscriptions"], ["ravenstack", "subscriptions"]],
        "tickets": [["support", "tickets"], ["ravenstack", "support_tickets"]],
        "usage": [["product", "events"], ["ravenstack", "feature_usage"]],
    }[entity]) }}
{% endmacro %}


{#- The whole table as of the newest landing day. That day comes from the ledger, not from the rows:
    an export that was delivered empty is empty. -#}
{% macro newest_snapshot(exports, with_system = false) %}
{% for system, export in exports %}
    select {{ "'" ~ system ~ "' as system, " if with_system }}* exclude (landing_date)
    from {{ ref("stg_" ~ system ~ "__" ~ export) }}
    where landing_date = {{ newest_landing([[system, export]]) }}
    {{ "union all by name" if not loop.last }}
{% endfor %}
{% endmacro %}


{#- The newest version of each key over all landing days: updated_at where a row has one, else the end of
    its landing day in the reporting time zone. -#}
{% macro newest_version(system, export, key, updated_at = none, with_system = false) %}
    select {{ "'" ~ system ~ "' as system, " if with_system }}* exclude (landing_date)
    from {{ ref("stg_" ~ system ~ "__" ~ export) }}
    where landing_date between date '{{ var("first_day") }}' and {{ as_of_date() }}
    qualify row_number() over (
        partition by {{ key }}
        order by {% if updated_at %}coalesce({{ updated_at }}, {{ day_start('landing_date + 1') }}) desc, {% endif %}landing_date desc
    ) = 1
{% endmacro %}


{#- Whether any of the exports, as [system, export] pairs, has a landing day in raw by the as-of day. -#}
{% macro has_arrived(exports) -%}
    {{ newest_landing(exports) }} is not null
{%- endmacro %}


{#- The newest landing day of any of these exports that is in raw by the as-of day; null where there is none. -#}
{% macro newest_landing(exports) -%}
    (
        select max(landing_date) from {{ ref("int_quality__export_days") }}
        where
            is_in_raw
            and landing_date <= {{ as_of_date() }}
            and (
                {%- for system, export in exports %}
                {{ "or " if not loop.first }}(system = '{{ system }}' and export = '{{ export }}')
                {%- endfor %}
            )
    )
{%- endmacro %}
