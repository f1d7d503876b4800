-- Every account that is known by the end of a period is in exactly one state of it, by its use in the
-- period, in the one before, and ever before.
with usage as (
    select account_id, first_date,
    from {{ ref('int_usage__month_rollup') }}
    where grain = 'account' and first_date is not null
),

usage_data as (
    select min(first_date) as first_day
    from usage
),

periods as (
    select 'month' as period_grain, period_start, period_end, is_complete_period,
    from {{ ref('int_quality__months') }}
    inner join usage_data on period_end > first_day
    union all
    select
        'week',
        cast(unnest(range({{ week_start_of('first_day') }}, {{ as_of_date() }} + 1, interval 7 day)) as date)
            as week_start,
        week_start + 7,
        week_start + 6 <= {{ as_of_date() }},
    from usage_data
),

active as (
    select
        account_id,
        if(week_start is null, 'month', 'week') as period_grain,
        coalesce(week_start, period_start) as period_start,
        coalesce(week_start + 7, period_start + to_months(1))::date as period_end,
    from {{ ref('int_usage__active_days') }}
    where grain = 'account'
),

first_active as (
    select account_id, period_grain, min(period_start) as first_active_start,
    from active
    group by all
),

created as (
    select account_id, {{ local_date('signed_up_at') }} as created_date,
    from {{ ref('int_accounts__accounts') }}
),

accounts as (
    select
        account_id,
        any_value(created_date) as created_date,
        least(any_value(created_date), min(first_date)) as known_from,
    from created
    full join usage using (account_id)
    group by account_id
),

spine as (
    select
        accounts.account_id,
        periods.*,
        first_active.first_active_start,
        coalesce(accounts.created_date < periods.period_start, false) as is_created_before,
        active.account_id is not null as is_active,
        before.account_id is not null as was_active,
    from accounts
    inner join periods on accounts.known_from < periods.period_end and accounts.known_from <= {{ as_of_date() }}
    left join first_active using (account_id, period_grain)
    left join active using (account_id, period_grain, period_start)
    left join active as before
        on
            accounts.account_id = before.account_id
            and periods.period_grain = before.period_grain
            and periods.period_start = before.period_end
)

select
    account_id,
    period_grain,
    case
        when is_active and period_start = first_active_start
            then if(is_created_before, 'late_start', 'new')
        when is_active and was_active then 'returning'
        when is_active then 'resurrecting'
        when was_active then 'dormant'
        when first_active_start < period_start then 'inactive'
        else 'never_active'
    end as state,
    is_complete_period,
    period_start,
    period_end,
from spine
