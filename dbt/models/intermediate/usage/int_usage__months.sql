-- What the usage of a month is a function of: its close, and all days that a figure of it looks at, from the
-- first that any of its windows reaches back to up to the end of the last week that begins in it.
with dates as (
    select occurred_date, content_key || version as content
    from {{ ref('int_usage__rollup') }}
    where grain = 'date'
),

reach as (
    select
        greatest(
            {{ [56, 7 * var("feature_window_weeks") + 6, var("depth_window_days"), var("inactive_user_days")] | max }},
            coalesce(7 * max(window_weeks) + 6, 0)
        )::integer as days
    from {{ ref('adoption_rules') }}
)

select
    months.period_start,
    months.period_end,
    months.close_date,
    months.period_start - reach.days as reach_from,
    months.period_end + 6 as reach_to,
    md5(
        any_value(months.close_date) || '/'
        || string_agg(dates.occurred_date || dates.content, ',' order by dates.occurred_date)
    ) as content_key,
from {{ ref('int_quality__months') }} as months
cross join reach
inner join dates
    on
        dates.occurred_date >= months.period_start - reach.days
        and dates.occurred_date < months.period_end + 6
group by all
