select
    exits.account_id,
    exits.spell_number,
    exits.reason_code,
    destination,
    ending,
    accounts.segment,
    plan_tier_at_exit,
    last_usage_state,
    -- Of the last close of this spell; one that ended before any has none.
    {%- for column, name in {"health_score": "last_health_score", "band": "last_health_band"}.items() %}
    if(
        health.period_start >= date_trunc('month', {{ local_date('exits.started_at') }}), health.{{ column }}, null
    ) as {{ name }},
    {%- endfor %}
    mrr_lost,
    winback_mrr,
    tenure_days,
    days_until_winback,
    date_diff('day', touches.occurred_date, ended_date) as last_touch_days,
    is_reason_known,
    is_destination_known,
    is_dunned,
    accounts.is_in_accounts_export,
    exits.started_at,
    ended_at,
    winback_at,
    touches.occurred_at as last_touch_at,
    ended_date,
    exits.period_start,
from {{ ref('int_retention__exits') }} as exits
inner join {{ ref('dim_accounts') }} as accounts using (account_id)
asof left join {{ ref('int_contacts__touches') }} as touches
    on exits.account_id = touches.account_id and exits.ended_at > touches.occurred_at
asof left join {{ ref('int_health__account_months') }} as health
    on exits.account_id = health.account_id and exits.period_start > health.period_start
