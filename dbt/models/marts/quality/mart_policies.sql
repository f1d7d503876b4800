{%- set policies = run_query("select policy from " ~ ref("policies") ~ " order by policy").columns[0].values() if execute else [] -%}
select
    policy,
    case policy
        {%- for policy in policies %}
        when '{{ policy }}' then '{{ "" if var(policy) is none else var(policy) }}'
        {%- endfor %}
    end as value,
    allowed_values,
    description,
from {{ ref('policies') }}
