-- The people side of churn: users and champions that fell silent, accounts that did, and changes of the
-- success manager. A month is measured against the one before it; it counts what could be lost at its open.
with months as (
    select period_start, open_at, close_at,
    from {{ ref('int_quality__months') }}
),

paid as (
    select account_id, period_start, opening_accounts, closing_accounts,
    from {{ ref('int_revenue__account_months') }}
),

stayed as (
    select account_id, period_start,
    from paid
    where opening_accounts = 1 and closing_accounts = 1
),

active_accounts as (
    select account_id, period_start,
    from {{ ref('int_usage__account_months') }}
    where active_events > 0
),

active_users as (
    select account_id, user_id, period_start,
    from {{ ref('int_usage__month_rollup') }}
    where grain = 'user'
),

account_changes as (
    select
        before.account_id,
        months.period_start,
        1 as opening_active_accounts,
        (now.account_id is null)::integer as silent_accounts,
        (now.account_id is null and paid.closing_accounts is not distinct from 1)::integer
            as silent_paying_accounts,
    from active_accounts as before
    inner join months on months.period_start = before.period_start + to_months(1)
    left join active_accounts as now
        on before.account_id = now.account_id and months.period_start = now.period_start
    left join paid on before.account_id = paid.account_id and months.period_start = paid.period_start
),

user_changes as (
    select
        before.account_id,
        before.user_id,
        months.period_start,
        (now.user_id is null) as is_silent,
    from active_users as before
    inner join months on months.period_start = before.period_start + to_months(1)
    left join active_users as now
        on
            before.account_id = now.account_id
            and before.user_id = now.user_id
            and months.period_start = now.period_start
),

users as (
    {{ newest_snapshot([['crm', 'users']]) }}
),

-- A champion is lost when removed, or silent after a month of use; who never used the product is no loss of
-- this month.
champions as (
    select
        users.account_id,
        stayed.period_start,
        max((
            coalesce(users.deactivated_at < months.close_at, false) or coalesce(user_changes.is_silent, false)
        )::integer) as champion_lost_accounts,
    from users
    inner join stayed on users.account_id = stayed.account_id
    inner join months
        on
            stayed.period_start = months.period_start
            and users.created_at < months.open_at
            and coalesce(users.deactivated_at, timestamp 'infinity') >= months.open_at
    left join user_changes
        on
            users.account_id = user_changes.account_id
            and users.user_id = user_changes.user_id
            and stayed.period_start = user_changes.period_start
    where users.is_champion
    group by all
),

assignments as (
    {{ newest_snapshot([['people', 'csm_assignments']]) }}
),

handovers as (
    select
        account_id,
        {{ month_of(local_date('assigned_at')) }} as period_start,
        count(*) as csm_changes,
    from (
        select
            account_id,
            assigned_at,
            csm_owner <> lag(csm_owner) over (partition by account_id order by assigned_at) as is_handover,
        from assignments
        where assigned_at < {{ as_of_end() }}
    )
    where is_handover
    group by all
),

measured as (
    select * from account_changes
    union all by name
    select
        account_id,
        period_start,
        count(*) as opening_active_users,
        count(*) filter (is_silent) as silent_users,
    from user_changes
    semi join stayed using (account_id, period_start)
    group by all
    union all by name
    select *, 1 as champion_accounts, from champions
    union all by name
    select handovers.*
    from handovers
    semi join (select * from paid where opening_accounts = 1) as paid using (account_id, period_start)
)

select
    account_id,
    period_start,
    {%- for measure in [
        "opening_active_accounts", "silent_accounts", "silent_paying_accounts", "opening_active_users",
        "silent_users", "champion_accounts", "champion_lost_accounts", "csm_changes",
    ] %}
    coalesce(sum({{ measure }}), 0)::bigint as {{ measure }},
    {%- endfor %}
from measured
group by all
