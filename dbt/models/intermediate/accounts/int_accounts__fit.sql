{%- set inputs = fit_inputs() %}
-- What each account is by the rules of fit_rules, as it is today and as it first bought, so that nothing
-- that happened since can leak into its class. Inputs that are missing leave a range of points: the class
-- is known where both ends of it are in the same band.
with first_purchases as (
    select
        account_id,
        plan_tier as first_plan_tier,
        quantity as first_seats,
        mrr / nullif(quantity, 0) as first_price_per_seat,
    from {{ ref('int_revenue__item_periods') }}
    where mrr > 0 and not is_empty
    qualify row_number() over (
        partition by account_id order by covered_from, mrr desc, subscription_id desc
    ) = 1
),

inputs as (
    select
        account_id,
        unnest(
            [
                {%- for name in inputs.text %}
                {attribute: '{{ name }}', text_value: {{ name }}, number_value: null::double},
                {%- endfor %}
                {%- for name in inputs.number %}
                {attribute: '{{ name }}', text_value: {{ name }}::varchar, number_value: {{ name }}::double},
                {%- endfor %}
            ],
            max_depth := 2
        ),
    from (select account_id from {{ ref('int_accounts__slices') }} where slice_dimension = 'total')
    left join {{ ref('int_accounts__accounts') }} using (account_id)
    left join first_purchases using (account_id)
),

rules as (
    select
        *,
        try_cast(value as double) as number,
        [trim(part) for part in string_split(value, '|')] as alternatives,
    from {{ ref('fit_rules') }}
),

answers as (
    select
        inputs.account_id,
        rules.rule_id,
        rules.attribute,
        rules.points,
        if(
            number_value is null,
            list_contains(alternatives, text_value),
            list_contains([try_cast(part as double) for part in alternatives], number_value)
        ) as is_listed,
        case
            when text_value is null then null
            when operator in ('=', 'in') then is_listed
            when operator in ('<>', 'not in') then not is_listed
            when operator = '>=' then number_value >= number
            when operator = '>' then number_value > number
            when operator = '<=' then number_value <= number
            when operator = '<' then number_value < number
        end as is_fulfilled,
    from inputs
    inner join rules using (attribute)
),

points as (
    select
        account_id,
        coalesce(sum(points) filter (is_fulfilled), 0)::integer as fit_points,
        (fit_points + coalesce(sum(points) filter (is_fulfilled is null and points < 0), 0))::integer
            as least_points,
        (fit_points + coalesce(sum(points) filter (is_fulfilled is null and points > 0), 0))::integer
            as most_points,
        string_agg(rule_id || ' ' || format('{:+d}', points), ', ' order by rule_id) filter (is_fulfilled)
            as evidence,
        string_agg(distinct attribute, ', ' order by attribute) filter (is_fulfilled is null)
            as missing_inputs,
    from answers
    group by all
),

bands as (
    select
        fit_class,
        coalesce(points_from, -1e9) as points_from,
        coalesce(lead(points_from) over (order by points_from nulls first), 1e9) as points_to,
    from {{ ref('fit_classes') }}
    where fit_class <> 'unknown'
)

select
    accounts.account_id,
    coalesce(bands.fit_class, 'unknown') as fit_class,
    points.fit_points,
    points.least_points,
    points.most_points,
    points.evidence,
    points.missing_inputs,
    classes.recommended_treatment,
from (select account_id from {{ ref('int_accounts__slices') }} where slice_dimension = 'total') as accounts
left join points using (account_id)
left join bands
    on
        points.least_points >= bands.points_from
        and points.least_points < bands.points_to
        and points.most_points >= bands.points_from
        and points.most_points < bands.points_to
left join {{ ref('fit_classes') }} as classes on classes.fit_class = coalesce(bands.fit_class, 'unknown')
