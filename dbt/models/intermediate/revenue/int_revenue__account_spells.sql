-- A spell is paid time without a hole longer than the tolerance; why it ended is read from the items
-- that ended with it, and from the newest cancellation of the account as a whole or of one of them.
with periods as (
    select * from {{ ref('int_revenue__account_periods') }}
),

spells as (
    select
        account_id,
        spell_number,
        min(period_from) as started_at,
        max(period_to) as ends_at,
    from periods
    group by all
),

ordered as (
    select
        account_id,
        spell_number,
        started_at,
        if(ends_at < {{ as_of_end() }}, ends_at, null) as ended_at,
        lag(ends_at) over by_account as previous_ended_at,
        coalesce(lead(started_at) over by_account, {{ as_of_end() }}) as next_started_at,
    from spells
    window by_account as (partition by account_id order by spell_number)
),

last_items as (
    select
        ordered.account_id,
        ordered.spell_number,
        list(items.subscription_id) as subscription_ids,
        bool_or(items.is_dunned) as is_dunned,
    from ordered
    inner join {{ ref('int_revenue__item_periods') }} as items
        on ordered.account_id = items.account_id and ordered.ended_at = items.covered_to
    group by all
),

endings as (
    select
        ordered.account_id,
        ordered.spell_number,
        cancellations.cancellation_id,
        cancellations.is_voluntary,
        cancellations.reason_code,
        cancellations.competitor,
    from ordered
    inner join {{ ref('int_revenue__cancellations') }} as cancellations
        on
            ordered.account_id = cancellations.account_id
            and cancellations.cancelled_at >= ordered.started_at
            and cancellations.cancelled_at < ordered.next_started_at
    left join last_items
        on
            ordered.account_id = last_items.account_id
            and ordered.spell_number = last_items.spell_number
    where
        ordered.ended_at is not null
        and (
            cancellations.subscription_id is null
            or list_contains(last_items.subscription_ids, cancellations.subscription_id)
        )
    qualify row_number() over (
        partition by ordered.account_id, ordered.spell_number
        order by cancellations.cancelled_at desc, cancellations.cancellation_id desc
    ) = 1
)

select
    ordered.account_id,
    ordered.spell_number,
    endings.cancellation_id,
    endings.reason_code,
    endings.competitor,
    coalesce(last_items.is_dunned, false) as is_dunned,
    case
        when ordered.ended_at is null then null
        when last_items.is_dunned or not endings.is_voluntary then 'involuntary'
        when endings.is_voluntary then 'voluntary'
        else 'unknown'
    end as ending,
    date_diff('day', {{ local_date('ordered.previous_ended_at') }}, {{ local_date('ordered.started_at') }})
        as days_away,
    date_diff(
        'day',
        {{ local_date('ordered.started_at') }},
        coalesce({{ local_date('ordered.ended_at') }}, {{ as_of_date() }})
    ) as duration_days,
    ordered.started_at,
    ordered.ended_at,
from ordered
left join last_items using (account_id, spell_number)
left join endings using (account_id, spell_number)
