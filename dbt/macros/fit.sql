{#- What a fit rule may ask for, by kind: what an account is, and how it bought at first. Nothing here may
    depend on whether it stayed. -#}
{% macro fit_inputs() %}
    {%- do return({
        "text": ["segment", "industry", "country", "acquisition_channel", "use_case", "first_plan_tier"],
        "number": ["employee_count", "first_seats", "first_price_per_seat"],
    }) -%}
{% endmacro %}
