-- Users by the week of their first active day, and what share of them came back: on the very day of that
-- age, on it or any later one, or on any day of a bracket. A cell exists once every user of the cohort has
-- had the chance; what is in progress is absent, never zero.
{%- set brackets = var("usage_retention_brackets").split(",") | map("trim") | map("int") | list %}
with user_months as (
    select account_id, user_id, active_dates,
    from {{ ref('int_usage__month_rollup') }}
    where grain = 'user'
),

lives as (
    select
        account_id,
        user_id,
        min(active_dates[1]) as first_date,
        max(active_dates[-1]) - first_date as last_age_days,
    from user_months
    group by all
),

-- A row per user and day of the months in which ages are told.
users as (
    select
        account_id,
        user_id,
        {{ week_start_of('first_date') }} as cohort_start,
        last_age_days,
        unnest(active_dates) - first_date as age_days,
    from lives
    inner join user_months using (account_id, user_id)
    where active_dates[1] <= first_date + {{ [var("usage_retention_days"), brackets[-1]] | max }}
),

cohorts as (
    select cohort_start, count(*) as users_eligible, {{ as_of_date() }} - cohort_start - 6 as mature_age,
    from users
    where age_days = 0
    group by all
),

ages as (
    select unnest(range(0, {{ var("usage_retention_days") }} + 1)) as age_days
),

-- Up to which age each user came back, as far as ages are told.
last_ages as (
    select cohort_start, least(last_age_days, {{ var("usage_retention_days") }}) as age_days, count(*) as users,
    from users
    where users.age_days = 0
    group by all
),

brackets as (
    select unnest({{ brackets[:-1] }}) as age_from, unnest({{ brackets[1:] }}) as age_to
),

cells as (
    select cohorts.*, 'on' as kind, age_days as age_from, age_days + 1 as age_to, from cohorts cross join ages
    union all
    select cohorts.*, 'on_or_after', age_days, null, from cohorts cross join ages
    union all
    select cohorts.*, 'bracket', age_from, age_to, from cohorts cross join brackets
),

returned as (
    select cohort_start, 'on' as kind, age_days as age_from, count(*) as users_returned,
    from users
    where age_days <= {{ var("usage_retention_days") }}
    group by all
    union all
    select
        cohorts.cohort_start,
        'on_or_after',
        ages.age_days,
        sum(coalesce(last_ages.users, 0)) over (
            partition by cohorts.cohort_start order by ages.age_days desc
        )::bigint,
    from cohorts
    cross join ages
    left join last_ages using (cohort_start, age_days)
    union all
    select cohort_start, 'bracket', age_from, count(distinct (account_id, user_id)),
    from users
    inner join brackets on age_days >= age_from and age_days < age_to
    group by all
),

mature as (
    select
        cells.cohort_start,
        cells.kind,
        cells.age_from,
        cells.age_to,
        cells.users_eligible,
        coalesce(returned.users_returned, 0) as users_returned,
    from cells
    left join returned using (cohort_start, kind, age_from)
    where coalesce(age_to - 1, age_from) <= mature_age
),

-- The average over all cohorts that are old enough: weighted by their size, those that nobody came back
-- from included.
averaged as (
    select 'week' as cohort_grain, cohort_start, kind, age_from, age_to, users_eligible, users_returned,
    from mature
    union all
    select
        'all',
        null,
        kind,
        age_from,
        age_to,
        sum(users_eligible)::bigint,
        sum(users_returned)::bigint,
    from mature
    group by all
)

select
    cohort_grain,
    kind,
    age_from as age_days,
    age_to as age_end_days,
    users_eligible,
    users_returned,
    {{ metric('usage_retention_rate') }} as retention_rate,
    true as is_mature,
    users_eligible < {{ var("min_cohort_customers") }} as is_small_sample,
    cohort_start,
from averaged
