{%- set inputs = fit_inputs() %}
{%- set texts = inputs.text %}
{%- set numbers = inputs.number %}
-- A rule that cannot be evaluated would be no rule at all, and nobody would notice.
select
    case
        when attribute not in ('{{ (texts + numbers) | join("', '") }}')
            then format('rule {} names the attribute {}; there are: {{ (texts + numbers) | join(", ") }}', rule_id, attribute)
        when operator not in ('=', '<>', '>=', '>', '<=', '<', 'in', 'not in')
            then format('rule {} has the operator {}; there are: = <> >= > <= < in, not in', rule_id, operator)
        when attribute in ('{{ texts | join("', '") }}') and operator in ('>=', '>', '<=', '<')
            then format('rule {} compares {} with {}, but it is no number', rule_id, attribute, operator)
        when attribute in ('{{ numbers | join("', '") }}')
            and list_contains([try_cast(trim(part) as double) is null for part in string_split(value, '|')], true)
            then format('rule {} compares {} with {}, which is no number', rule_id, attribute, value)
        when value is null then format('rule {} has no value', rule_id)
        when points is null then format('rule {} gives no points', rule_id)
    end as problem,
from {{ ref('fit_rules') }}
where problem is not null
