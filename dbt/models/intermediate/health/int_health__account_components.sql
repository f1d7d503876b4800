-- What is known at a close of each paying account's health, component by component, on the component's own
-- scale and as 0 to 100 between the seed's poor_at and good_at. Null where the export that would tell has
-- told nothing of the account, or has stopped landing: a missing component takes no part, it is not a zero.
with closes as (
    select
        paying.account_id,
        months.period_start,
        months.close_at,
        months.close_date,
        -- A month of which a part is to come has used fewer features than it will.
        if(months.is_complete_period, months.period_start, (months.period_start - interval 1 month)::date)
            as breadth_month,
        {{ local_date('spells.started_at') }} as paying_since,
    from {{ ref('int_revenue__account_months') }} as paying
    inner join {{ ref('int_quality__months') }} as months using (period_start)
    asof left join {{ ref('int_revenue__account_spells') }} as spells
        on paying.account_id = spells.account_id and months.close_at > spells.started_at
    where paying.closing_accounts = 1
),

-- Mattermost's points, of 25: no ticket at all is worse than one or two.
tickets as (
    select closes.account_id, closes.period_start, count(tickets.ticket_id) as tickets_90d,
    from closes
    left join {{ ref('int_support__tickets') }} as tickets
        on
            closes.account_id = tickets.account_id
            and not tickets.is_excluded
            and tickets.created_date >= closes.close_date - 90
            and tickets.created_date < closes.close_date
    where {{ has_arrived(exports_of('tickets')) }}
    group by all
),

-- Good 100, average 50, poor 0, over what people of the account, known by name, answered lately.
answers as (
    select
        closes.account_id,
        closes.period_start,
        avg(case score_class when 'favourable' then 100 when 'neutral' then 50 else 0 end) as survey_answers,
    from closes
    inner join {{ source('derived', 'survey_responses') }} as responses
        on
            closes.account_id = responses.account_id
            and responses.responded_date >= closes.close_date - {{ var("health_survey_days") }}
            and responses.responded_date < closes.close_date
    where score_class is not null and not is_anonymous
    group by all
),

past_due as (
    select
        closes.account_id,
        closes.period_start,
        max(greatest(close_date - {{ local_date('coalesce(past_due_since, items.started_at)') }}, 0)) as days_past_due,
    from closes
    inner join {{ ref('int_revenue__item_periods') }} as items
        on
            closes.account_id = items.account_id
            and items.status = 'past_due'
            and items.started_at < closes.close_at
            and coalesce(items.service_ended_at, timestamp 'infinity') >= closes.close_at
    inner join {{ ref('int_revenue__subscriptions') }} as subscriptions
        on items.subscription_id = subscriptions.subscription_id and items.started_at = subscriptions.started_at
    group by all
),

-- Closes by which the use of their last days has landed, but for what is not late yet. Of later ones nobody
-- knows who is silent.
usage_covers as (
    select period_start
    from {{ ref('int_quality__months') }}
    cross join {{ ref('int_usage__known_days') }}
    where {{ "true" if var("late_after_hours") in [none, ""] else "close_date - 1 <= last_date + " ~ var("late_after_hours") // 24 }}
),

usage as (
    select * from {{ ref('int_usage__account_windows') }}
    semi join usage_covers using (period_start)
),

adoption as (
    select account_id, period_start, depth, breadth,
    from {{ ref('int_adoption__account_months') }}
    semi join usage_covers using (period_start)
),

measured as (
    select
        closes.account_id,
        closes.period_start,
        {{ ratio("usage.events_28d - usage.events_previous_28d", "usage.events_previous_28d") }} as usage_change,
        -- Who has never used it since it pays has been silent for as long.
        coalesce(
            usage.days_since_last_event,
            if(usage.events_28d = 0, closes.close_date - 1 - closes.paying_since, null)
        ) as days_since_last_event,
        adoption.depth as adoption_depth,
        of_whole_month.breadth as adoption_breadth,
        answers.survey_answers,
        case
            when tickets_90d = 0 then 12.5
            when tickets_90d <= 2 then 25
            when tickets_90d <= 4 then 18.75
            when tickets_90d > 4 then 6.25
        end as ticket_points,
        if(contacts.is_covered, contacts.last_touch_days, null) as last_touch_days,
        if({{ has_arrived([["billing", "subscriptions"]]) }}, coalesce(past_due.days_past_due, 0), null)
            as days_past_due,
    from closes
    left join usage using (account_id, period_start)
    left join adoption using (account_id, period_start)
    left join adoption as of_whole_month
        on closes.account_id = of_whole_month.account_id and closes.breadth_month = of_whole_month.period_start
    left join answers using (account_id, period_start)
    left join tickets using (account_id, period_start)
    left join {{ ref('int_contacts__account_months') }} as contacts using (account_id, period_start)
    left join past_due using (account_id, period_start)
),

components as (
    {%- set components = ["usage_change", "days_since_last_event", "adoption_depth", "adoption_breadth", "survey_answers", "ticket_points", "last_touch_days", "days_past_due"] %}
    select
        account_id,
        period_start,
        unnest(['{{ components | join("', '") }}']) as component,
        unnest([{% for component in components %}{{ component }}::double{{ ", " if not loop.last }}{% endfor %}]) as value,
    from measured
)

select
    account_id,
    period_start,
    component,
    value,
    -- greatest and least pass over nulls, and would make a score of nothing. Rounded, because 0.35 between 0.1
    -- and 0.6 is a half and no hair less; and no -0.0, which is 0.0 in all but its bytes.
    if(value is null, null, round(100 * greatest(least((value - poor_at) / (good_at - poor_at), 1), 0), 9) + 0.0) as score,
    weight,
    -- Of the weights that are there: what the component adds to the weighted score.
    score * weight / sum(weight) filter (value is not null) over (partition by account_id, period_start)
        as contribution,
from components
inner join {{ ref('health_weights') }} using (component)
