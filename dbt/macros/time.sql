{#- Zone-less UTC timestamps are made zoned before they are read in another zone: DuckDB takes a
    zone-less one as local already and would shift it the wrong way. -#}
{% macro local_date(utc_timestamp) -%}
    {%- if var("reporting_timezone") == "UTC" -%}
    cast({{ utc_timestamp }} as date)
    {%- else -%}
    cast(timezone('{{ var("reporting_timezone") }}', timezone('UTC', {{ utc_timestamp }})) as date)
    {%- endif -%}
{%- endmacro %}


{#- The first day of the month that holds a day. -#}
{% macro month_of(day) -%}
    cast(date_trunc('month', {{ day }}) as date)
{%- endmacro %}


{#- A month as a number, which months can be counted through and joined by. -#}
{% macro month_number(day) -%}
    datediff('month', date '0001-01-01', {{ day }})
{%- endmacro %}


{#- The UTC instant at which a day of a zone begins. Of a midnight that a clock shows twice DuckDB takes the second,
    so an hour after the hour before is asked as well. -#}
{% macro midnight(local_date, zone) -%}
    least(
        timezone('UTC', timezone('{{ zone }}', cast({{ local_date }} as timestamp))),
        timezone('UTC', timezone('{{ zone }}', {{ local_date }} - interval 1 hour)) + interval 1 hour
    )
{%- endmacro %}


{#- The UTC instant at which a day of the reporting time zone begins. -#}
{% macro day_start(local_date) -%}
    {{ midnight(local_date, var("reporting_timezone")) }}
{%- endmacro %}


{#- The UTC instant at which the day of a zone ends that holds a UTC timestamp. -#}
{% macro next_midnight(utc_timestamp, zone) -%}
    {{ midnight("(date_trunc('day', timezone('" ~ zone ~ "', timezone('UTC', " ~ utc_timestamp ~ "))) + interval 1 day)", zone) }}
{%- endmacro %}


{% macro as_of_date() -%}
    (select as_of_date from {{ ref("int_quality__as_of") }})
{%- endmacro %}


{% macro as_of_month() -%}
    (select as_of_month from {{ ref("int_quality__as_of") }})
{%- endmacro %}


{#- The instant at which the as-of day ends; what is dated at or after it has not happened yet. -#}
{% macro as_of_end() -%}
    (select as_of_end_at from {{ ref("int_quality__as_of") }})
{%- endmacro %}


{#- The first day of the week that contains a day; weeks begin on week_start. -#}
{% macro week_start_of(day) -%}
    {%- set weekdays = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] -%}
    {%- set days_after_monday = weekdays.index(var("week_start")) -%}
    cast(date_trunc('week', {{ day }} - {{ days_after_monday }}) as date) + {{ days_after_monday }}
{%- endmacro %}
