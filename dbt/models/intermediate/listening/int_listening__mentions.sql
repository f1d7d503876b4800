-- A mention's sentiment is what its source says; where it says none but rates, what the rating means.
-- A rating counts on its own scale alone: without one, or off it, the mention stays and its rating does not.
with mentions as (
    {{ newest_version('listening', 'mentions', 'mention_id') }}
),

counted as (
    select
        *,
        coalesce(rating_max > 0 and rating between 0 and rating_max, false) as is_rated,
        -- Rounded, because 4.8 of 6 are 0.8 and no hair less.
        if(is_rated, round(rating / rating_max, 9), null) as share,
    from mentions
    where published_at < {{ as_of_end() }}
)

select
    mention_id,
    source,
    topic,
    brand,
    account_id,
    case
        when counted.sentiment is not null then counted.sentiment
        when share >= {{ var("positive_rating_from") }} then 'positive'
        when share <= {{ var("negative_rating_to") }} then 'negative'
        when is_rated then 'neutral'
        else 'unlabelled'
    end as sentiment,
    case
        when counted.sentiment is not null then 'source'
        when is_rated then 'rating'
        else 'none'
    end as sentiment_method,
    is_rated,
    rating is not null and not is_rated as is_rating_off_scale,
    cast(share as decimal(18, 6)) as rating_share,
    cast(if(is_rated, greatest(ceil(5 * share), 1), null) as integer) as stars,
    published_at,
    {{ local_date('published_at') }} as published_date,
from counted
