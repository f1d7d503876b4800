with mentions as (
    select *, {{ month_of('published_date') }} as period_start,
    from {{ ref('int_listening__mentions') }}
),

counted as (
    select
        source,
        topic,
        brand,
        period_start,
        count(*) as mentions,
        count(*) filter (sentiment = 'positive') as positive,
        count(*) filter (sentiment = 'neutral') as neutral,
        count(*) filter (sentiment = 'negative') as negative,
        count(*) filter (sentiment = 'unlabelled') as unlabelled,
        count(*) filter (sentiment_method = 'source') as labelled_by_source,
        count(*) filter (sentiment_method = 'rating') as labelled_by_rating,
        count(*) filter (is_rated) as ratings,
        count(*) filter (is_rating_off_scale) as ratings_off_scale,
        coalesce(sum(rating_share), 0)::decimal(38, 6) as rating_share_sum,
        {%- for stars in range(1, 6) %}
        count(*) filter (stars = {{ stars }}) as ratings_of_{{ stars }}_stars,
        {%- endfor %}
    from mentions
    group by all
),

-- An account that speaks twice is worth its revenue once.
accounts as (
    select source, topic, brand, period_start, account_id, bool_or(sentiment = 'negative') as is_negative,
    from mentions
    where account_id is not null
    group by all
),

revenue as (
    select
        source,
        topic,
        brand,
        period_start,
        count(*) as accounts,
        sum(closing_mrr) as accounts_mrr,
        sum(closing_mrr) filter (is_negative) as negative_accounts_mrr,
    from accounts
    left join {{ ref('int_revenue__account_months') }} using (account_id, period_start)
    group by all
),

voices as (
    select
        *,
        (sum(mentions) over (partition by source, period_start) - mentions)::bigint as other_mentions,
    from counted
)

select
    source,
    topic,
    brand,
    case
        when labelled_by_source > 0 and labelled_by_rating > 0 then 'mixed'
        when labelled_by_source > 0 then 'source'
        when labelled_by_rating > 0 then 'rating'
        else 'none'
    end as sentiment_method,
    mentions,
    positive,
    neutral,
    negative,
    unlabelled,
    labelled_by_source,
    labelled_by_rating,
    {{ metric('net_sentiment') }} as net_sentiment,
    other_mentions,
    {{ metric('share_of_voice') }} as share_of_voice,
    ratings,
    ratings_off_scale,
    {%- for stars in range(1, 6) %}
    ratings_of_{{ stars }}_stars,
    {%- endfor %}
    {{ metric('mean_rating_share') }} as mean_rating_share,
    coalesce(accounts, 0) as accounts,
    coalesce(accounts_mrr, 0)::decimal(38, 6) as accounts_mrr,
    coalesce(negative_accounts_mrr, 0)::decimal(38, 6) as negative_accounts_mrr,
    is_complete_period,
    period_start,
    period_end,
from voices
inner join {{ ref('int_quality__months') }} using (period_start)
left join revenue using (source, topic, brand, period_start)
