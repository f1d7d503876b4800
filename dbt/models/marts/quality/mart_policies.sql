{%- set policies = run_query("select policy from " ~ ref("policies") ~ " order by policy").columns[0].values() if execute else [] -%}
select
    policy,
    case policy
        when 'as_of' then cast({{ as_of_date() }} as varchar)
        {%- for policy in policies if policy != "as_of" %}
        when '{{ policy }}' then {{ text(var(policy)) }}
        {%- endfor %}
    end as value,
    allowed_values,
    description,
from {{ ref('policies') }}
