-- The ledger of exact instants: where an account's MRR steps, how far and why. Summed up to a month's
-- close it gives that month's closing MRR.
with periods as (
    select * from {{ ref('int_revenue__account_periods') }}
),

edges as (
    select account_id, spell_number, currency, period_from as occurred_at, mrr_original, mrr, 1 as sign,
    from periods
    union all
    select account_id, spell_number, currency, period_to, mrr_original, mrr, -1,
    from periods
    where period_to < {{ as_of_end() }}
),

valued as (
    select
        account_id,
        spell_number,
        occurred_at,
        {{ local_date('occurred_at') }} as occurred_date,
        sign * {{ mrr_on('edges', local_date('occurred_at')) }} as amount,
        sign,
    from edges
),

steps as (
    select
        account_id,
        spell_number,
        occurred_at,
        occurred_date,
        sum(amount) as amount,
        sum(sum(sign)) over by_spell as items_after,
        lag(occurred_at) over by_spell is null as is_first,
        lead(occurred_at) over by_spell is null as is_last,
    from valued
    group by account_id, spell_number, occurred_at, occurred_date
    window by_spell as (partition by account_id, spell_number order by occurred_at)
),

-- What the items that end or start at an instant have changed, the largest change first.
starts as (
    select *
    from {{ ref('int_revenue__item_periods') }}
    where not is_empty
),

-- Where a tolerated hole follows, the account goes on until the next paid time, and so does what it ends in.
ends as (
    select starts.* replace (greatest(starts.covered_to, counted.period_to) as covered_to),
    from starts
    left join (
        select account_id, subscription_id, started_at, max(period_to) as period_to,
        from periods
        group by all
    ) as counted using (account_id, subscription_id, started_at)
    where starts.covered_to is not null
),

item_changes as (
    select
        coalesce(ends.account_id, starts.account_id) as account_id,
        coalesce(ends.covered_to, starts.covered_from) as occurred_at,
        abs(coalesce(starts.mrr, 0) - coalesce(ends.mrr, 0)) as size,
        case
            when starts.subscription_id is null then 'subscription_ended'
            when ends.subscription_id is null then 'subscription_started'
            -- A plan may have an id for each billing interval: another term of the same tier is no other plan.
            when starts.plan_id <> ends.plan_id and not coalesce(starts.term <> ends.term and starts.plan_tier = ends.plan_tier, false)
                then 'plan'
            when starts.term <> ends.term then 'term'
            when starts.discount_percent <> ends.discount_percent then 'discount'
            when starts.quantity <> ends.quantity then 'seats'
            when size > 0 then 'price'
            -- The same once more: by latest_start the account pays another of its rows from then on.
            else 'subscription_started'
        end as cause,
    from ends
    full join starts
        on
            ends.subscription_id = starts.subscription_id
            and ends.account_id = starts.account_id
            and ends.covered_to = starts.covered_from
),

pauses as (
    select account_id, started_at, ended_at
    from {{ ref('int_revenue__subscriptions') }}
    where status = 'paused'
),

causes as (
    select account_id, occurred_at, arg_max(cause, (size, cause)) as cause,
    from item_changes
    group by all
)

select
    steps.account_id,
    steps.spell_number,
    case
        when is_first and steps.spell_number = 1 then 'new'
        when is_first then 'reactivation'
        when is_last and items_after = 0 then 'churn'
        when amount > 0 then 'expansion'
        else 'contraction'
    end as movement_type,
    case
        when movement_type = 'churn' and spells.is_dunned then 'dunning'
        when movement_type in ('contraction', 'churn') and exists (
            select 1 from pauses
            where pauses.account_id = steps.account_id and pauses.started_at = steps.occurred_at
        ) then 'pause'
        when movement_type in ('expansion', 'reactivation') and exists (
            select 1 from pauses
            where pauses.account_id = steps.account_id and pauses.ended_at = steps.occurred_at
        ) then 'resume'
        else causes.cause
    end as cause,
    amount,
    if(movement_type = 'reactivation', spells.days_away, null) as days_away,
    if(movement_type = 'churn', spells.ending, null) as ending,
    if(movement_type = 'churn', spells.reason_code, null) as reason_code,
    steps.occurred_at,
    occurred_date,
from steps
left join causes using (account_id, occurred_at)
left join {{ ref('int_revenue__account_spells') }} as spells using (account_id, spell_number)
where amount <> 0
{% if var("fx_policy") == "period_end" %}
union all by name
select
    account_id,
    'fx' as movement_type,
    'fx' as cause,
    fx_mrr as amount,
    months.close_at - interval 1 microsecond as occurred_at,
    months.close_date - 1 as occurred_date,
from {{ ref('int_revenue__account_months') }}
inner join {{ ref('int_quality__months') }} as months using (period_start)
where fx_mrr <> 0
{% endif %}
