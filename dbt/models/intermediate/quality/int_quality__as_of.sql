-- The one place that says what "now" is: the newest landing day of the accounts export that passed,
-- or the newest by the day that as_of pins. No wall clock.
with days as (
    select landing_date
    from {{ ref('stg_lake__extractions') }}
    where
        export = 'accounts'
        and status = 'ok'
        and landing_date >= date '{{ var("first_day") }}'
        {% if var("as_of") %}and landing_date <= date '{{ var("as_of") }}'{% endif %}
),

newest as (
    select max(landing_date) as as_of_date
    from days
)

select
    as_of_date,
    {{ day_start('as_of_date + 1') }} as as_of_end_at,
    {{ month_of('as_of_date') }} as as_of_month,
from newest
