select
    mention_id,
    source,
    published_at,
    topic,
    brand,
    text,
    rating,
    rating_max,
    sentiment,
    account_id,
    url,
    landing_date,
from {{ source('listening', 'mentions') }}
where {{ system_is_on('listening') }}
