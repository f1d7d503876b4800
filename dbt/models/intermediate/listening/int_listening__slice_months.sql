-- What is said of the own brand, in all and by source, beside what is said of competitors.
with mentions as (
    select
        *,
        unnest(['total', 'source']) as slice_dimension,
        unnest(['all', source]) as slice_value,
        {{ month_of('published_date') }} as period_start,
        topic = 'own' as is_own,
    from {{ ref('int_listening__mentions') }}
)

select
    slice_dimension,
    slice_value,
    period_start,
    months.period_end,
    count(*) filter (is_own) as mentions,
    count(*) filter (is_own and sentiment = 'positive') as positive,
    count(*) filter (is_own and sentiment = 'negative') as negative,
    count(*) filter (not is_own) as other_mentions,
    count(*) filter (is_own and is_rated) as ratings,
    coalesce(sum(rating_share) filter (is_own), 0)::decimal(38, 6) as rating_share_sum,
    months.is_complete_period,
from mentions
inner join {{ ref('int_quality__months') }} as months using (period_start)
group by all
