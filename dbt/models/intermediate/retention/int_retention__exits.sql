-- Who left, when, why, and what went with them: the paid spells that have ended. A spell ends at an
-- instant, so an account that leaves and is back before the month closes has left here, and is no churn
-- in the bridge.
with spells as (
    select
        *,
        {{ local_date('ended_at') }} as ended_date,
        lead(started_at) over by_account as winback_at,
        lead(days_away) over by_account as days_until_winback,
    from {{ ref('int_revenue__account_spells') }}
    window by_account as (partition by account_id order by spell_number)
),

exits as (
    select * from spells
    where ended_at is not null
),

-- The paid row that the account had to the end, by the rule of the plan_tier slice.
plans as (
    select
        exits.account_id,
        exits.spell_number,
        arg_max_null(
            plan_tier, (least(items.covered_to, exits.ended_at), items.started_at, mrr, subscription_id)
        ) as plan_tier,
    from exits
    inner join {{ ref('int_revenue__item_periods') }} as items
        on exits.account_id = items.account_id and items.covered_from < exits.ended_at
    where mrr > 0 and not is_empty
    group by all
),

usage as (
    select
        exits.account_id,
        exits.spell_number,
        coalesce(sum(active_events) filter (occurred_date >= ended_date - 28), 0) as last_events,
        coalesce(sum(active_events) filter (occurred_date < ended_date - 28), 0) as earlier_events,
    from exits
    inner join {{ ref('int_usage__account_days') }} as days
        on
            exits.account_id = days.account_id
            and days.occurred_date >= exits.ended_date - 56
            and days.occurred_date < exits.ended_date
    group by all
),

movements as (
    select account_id, movement_type, occurred_at, amount,
    from {{ ref('int_revenue__movements') }}
    where movement_type in ('churn', 'reactivation')
)

select
    exits.account_id,
    exits.spell_number,
    exits.cancellation_id,
    coalesce(exits.reason_code, 'unknown') as reason_code,
    coalesce(exits.competitor, 'unknown') as destination,
    exits.ending,
    coalesce(plans.plan_tier, 'unknown') as plan_tier_at_exit,
    case
        when first_date <= ended_date - 28 and last_date >= ended_date - 1 then
            case
                when coalesce(last_events, 0) = 0 then 'silent'
                when last_events < {{ var("fading_usage_share") }} * earlier_events then 'fading'
                else 'active'
            end
        else 'unknown'
    end as last_usage_state,
    coalesce(-lost.amount, 0)::decimal(38, 6) as mrr_lost,
    if(winback_at is null, null, coalesce(regained.amount, 0))::decimal(38, 6) as winback_mrr,
    exits.duration_days as tenure_days,
    exits.days_until_winback,
    coalesce(lower(exits.reason_code) <> 'unknown', false) as is_reason_known,
    coalesce(lower(exits.competitor) <> 'unknown', false) as is_destination_known,
    exits.is_dunned,
    exits.started_at,
    exits.ended_at,
    exits.winback_at,
    exits.ended_date,
    {{ month_of('exits.ended_date') }} as period_start,
from exits
cross join {{ ref('int_usage__known_days') }}
left join plans using (account_id, spell_number)
left join usage using (account_id, spell_number)
left join movements as lost
    on
        exits.account_id = lost.account_id
        and lost.movement_type = 'churn'
        and exits.ended_at = lost.occurred_at
left join movements as regained
    on
        exits.account_id = regained.account_id
        and regained.movement_type = 'reactivation'
        and exits.winback_at = regained.occurred_at
