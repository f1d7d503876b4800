-- Who may leave next, of the accounts that pay at the as-of day, the most money first. Each has its reasons:
-- what the customer has said, what has not been paid, and what the score is made of.
with current_health as (
    select *
    from {{ ref('int_health__account_months') }}
    where period_start = (select as_of_month from {{ ref('int_quality__as_of') }})
),

subscriptions as (
    select
        account_id,
        bool_or(cancel_requested_at < {{ as_of_end() }}) as has_asked_to_cancel,
        bool_or(status = 'past_due') as is_past_due,
        min(term_end_date) filter (term_end_date >= {{ as_of_date() }}) as renewal_date,
        min(ended_at) filter (ended_at >= {{ as_of_end() }}) as ends_at,
    from {{ ref('int_revenue__subscriptions') }}
    where started_at < {{ as_of_end() }} and coalesce(ended_at, timestamp 'infinity') >= {{ as_of_end() }}
    group by all
),

judged as (
    select
        current_health.*,
        months.closing_mrr as mrr,
        renewal_date,
        ends_at,
        list_filter(
            [
                if(has_asked_to_cancel, 'cancel_requested', null),
                if(ends_at is not null, 'end_scheduled', null),
                if(is_past_due, 'past_due', null),
                if(effective_band = 'red', 'health_red', null),
                if(
                    effective_band = 'amber'
                    and renewal_date < {{ as_of_date() }} + {{ var("renewal_notice_days") }},
                    'amber_before_renewal',
                    null
                ),
            ],
            lambda reason: reason is not null
        ) as reasons,
        list_transform(
            list_filter(components, lambda part: part.score < {{ var("health_amber_from") }}),
            lambda part: part.component
        ) as weak_components,
        -- Of the MRR, the part that health does not vouch for; all of it once the customer has said so.
        mrr * if(
            has_asked_to_cancel or ends_at is not null, 1, 1 - coalesce(health_score, 0) / 100
        ) as weighted_mrr_at_risk,
    from current_health
    inner join {{ ref('int_revenue__account_months') }} as months using (account_id, period_start)
    left join subscriptions using (account_id)
)

select
    row_number() over (order by weighted_mrr_at_risk desc, mrr desc, account_id) as risk_rank,
    account_id,
    effective_band,
    reasons,
    weak_components,
    health_score,
    coverage,
    mrr::decimal(38, 6) as mrr_at_risk,
    weighted_mrr_at_risk::decimal(38, 6) as weighted_mrr_at_risk,
    ends_at,
    renewal_date,
from judged
where len(reasons) > 0
