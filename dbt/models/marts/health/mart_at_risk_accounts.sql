-- Who may leave next, of the accounts that pay at the as-of day, the most money first. Each has its reasons:
-- what the customer has said, what has not been paid, and what the score is made of.
with current_health as (
    select *
    from {{ ref('int_health__account_months') }}
    where period_start = {{ as_of_month() }}
),

judged as (
    select
        current_health.*,
        months.closing_mrr as mrr,
        renewal_date,
        ends_at,
        [
            reason for reason in [
                if(cancel_requested_at is not null, 'cancel_requested', null),
                if(ends_at is not null, 'end_scheduled', null),
                if(is_past_due, 'past_due', null),
                if(effective_band = 'red', 'health_red', null),
                if(
                    effective_band = 'amber'
                    and renewal_date < {{ as_of_date() }} + {{ var("renewal_notice_days") }},
                    'amber_before_renewal',
                    null
                ),
            ] if reason is not null
        ] as reasons,
        [part.component for part in components if part.score < {{ var("health_amber_from") }}] as weak_components,
        -- Of the MRR, the part that health does not vouch for; all of it once the customer has said so.
        mrr * if(
            cancel_requested_at is not null or ends_at is not null, 1, 1 - coalesce(health_score, 0) / 100
        ) as weighted_mrr_at_risk,
    from current_health
    inner join {{ ref('int_revenue__account_months') }} as months using (account_id, period_start)
    left join {{ ref('int_revenue__account_outlook') }} using (account_id)
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
