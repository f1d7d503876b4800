-- From an account's first paying close on. After it has left, its last score stands still: nothing that is
-- closed or goes quiet afterwards may turn it green.
with months as (
    select
        account_id,
        period_start,
        closing_accounts = 1 as is_paying,
        close_at,
        months.period_end,
        months.close_date,
        months.is_complete_period,
    from {{ ref('int_revenue__account_months') }}
    inner join {{ ref('int_quality__months') }} as months using (period_start)
),

frozen as (
    select
        months.*,
        health.period_start as scored_period_start,
        health.* exclude (account_id, period_start),
    from months
    asof left join {{ ref('int_health__account_months') }} as health
        on months.account_id = health.account_id and months.period_start >= health.period_start
)

select
    frozen.account_id,
    band,
    override_band,
    effective_band,
    override_reason,
    weakest_component,
    health_score,
    weighted_score,
    worst_of_score,
    coverage,
    components,
    if(health_score is null, 'low_coverage', null) as reason_null,
    is_paying,
    is_complete_period,
    if(is_paying, null, spells.ended_at) as frozen_at,
    scored_period_start,
    frozen.close_date - 1 as health_date,
    period_start,
    period_end,
from frozen
asof left join {{ ref('int_revenue__account_spells') }} as spells
    on frozen.account_id = spells.account_id and frozen.close_at > spells.ended_at
