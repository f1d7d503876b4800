-- Months from the earliest that a contract allows (the first of 1900 in UTC may be a day earlier in the
-- reporting time zone) up to the one that contains the as-of day; close_at is the instant at which a month's state is
-- read: its end, or the end of the as-of day where that comes first.
with starts as (
    select unnest(range(date '1899-12-01', as_of_date + 1, interval 1 month)) as period_start
    from {{ ref('int_quality__as_of') }}
),

months as (
    select
        cast(period_start as date) as period_start,
        cast(period_start + interval 1 month as date) as period_end,
    from starts
)

select
    period_start,
    period_end,
    {{ day_start('period_start') }} as open_at,
    least({{ day_start('period_end') }}, {{ as_of_end() }}) as close_at,
    least(period_end, {{ as_of_date() }} + 1) as close_date,
    {{ day_start('period_end') }} <= {{ as_of_end() }} as is_complete_period,
from months
