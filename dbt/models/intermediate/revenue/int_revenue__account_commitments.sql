-- What is contracted is known of the as-of day alone, because a snapshot does not say since when.
with contracted as (
    -- Rows that go on, as far as nobody has asked to end them, and the next row of each subscription.
    select subscriptions.*
    from {{ ref('int_revenue__subscriptions') }} as subscriptions
    semi join {{ ref('int_revenue__item_periods') }} as items
        on
            subscriptions.subscription_id = items.subscription_id
            and subscriptions.started_at = items.started_at
            and items.service_ended_at is null
    where ended_at is null and (cancel_requested_at is null or cancel_requested_at >= {{ as_of_end() }})
    union all
    from (
        from {{ ref('int_revenue__subscriptions') }}
        where started_at >= {{ as_of_end() }}
        qualify row_number() over (partition by subscription_id order by started_at) = 1
    )
    where status in ('active', 'past_due') and trial_until = started_at
),

counted as (
    select account_id, {{ mrr_on('contracted', as_of_date()) }} as mrr,
    from contracted
    where mrr is not null
    {% if var("account_mrr_policy") == "latest_start" -%}
    qualify row_number() over (
        partition by account_id order by started_at desc, contracted.mrr desc, subscription_id desc
    ) = 1
    {%- endif %}
),

closing as (
    select account_id, closing_mrr
    from {{ ref('int_revenue__account_months') }}
    where period_start = {{ as_of_month() }}
)

select
    account_id,
    coalesce(mrr, 0) as committed_mrr,
    greatest(committed_mrr - coalesce(closing_mrr, 0), 0) as contracted_mrr,
    greatest(coalesce(closing_mrr, 0) - committed_mrr, 0) as scheduled_loss_mrr,
from (select account_id, sum(mrr) as mrr from counted group by all)
full join closing using (account_id)
