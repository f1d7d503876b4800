-- Contacts between people: automated mail is none, and what nobody says of was sent by a person. The
-- answer to an e-mail is the next outbound contact of its thread; one at the very same instant is not
-- later, so it answers nothing.
with touches as (
    {{ newest_version('communications', 'touchpoints', 'touchpoint_id') }}
),

counted as (
    select *, kind = 'email' and direction = 'inbound' and thread_id is not null as is_question,
    from touches
    where occurred_at < {{ as_of_end() }} and not coalesce(is_automated, false)
)

select
    touchpoint_id,
    account_id,
    kind,
    direction,
    thread_id,
    -- Beyond its scale a sentiment means nothing; the contact itself happened.
    if(sentiment between -1 and 1, cast(sentiment as decimal(18, 6)), null) as sentiment,
    sentiment not between -1 and 1 as is_sentiment_off_scale,
    is_question,
    occurred_at,
    {{ local_date('occurred_at') }} as occurred_date,
    if(
        is_question,
        min(occurred_at) filter (direction = 'outbound') over (
            partition by account_id, thread_id
            order by occurred_at
            range between interval 1 microsecond following and unbounded following
        ),
        null
    ) as answered_at,
from counted
