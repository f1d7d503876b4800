-- On how many days of a calendar month or week somebody was active, persons counted by account, and accounts;
-- kept as int_usage__month_rollup keeps its figures. A week counts in the month that it begins in.
{{ config(
    materialized = 'incremental',
    unique_key = 'period_start',
    grain = ['grain', 'account_id', 'week_start', 'days_active', 'period_start'],
    post_hook = "delete from {{ this }} where period_start not in (select period_start from {{ ref('int_quality__months') }})"
) }}
{%- set rollup %}
days as (
    select
        'user' as grain,
        account_id,
        user_id as member_id,
        {{ month_of('occurred_date') }} as month_start,
        {{ week_start_of('occurred_date') }} as week_start,
    from {{ ref('int_usage__user_days') }}
    where
        active_events > 0
        and user_id is not null
        and {{ is_within_reach() }}
    union all
    select
        'account',
        account_id,
        null,
        {{ month_of('occurred_date') }},
        {{ week_start_of('occurred_date') }},
    from {{ ref('int_usage__account_days') }}
    where
        active_events > 0
        and {{ is_within_reach() }}
),

members as (
    select grain, account_id, member_id, month_start as period_start, null as week_start, count(*) as days_active,
    from days
    group by all
    union all
    select grain, account_id, member_id, {{ month_of('week_start') }}, week_start, count(*),
    from days
    group by all
),

rolled_up as (
    select grain, account_id, period_start, week_start, days_active, count(*) as members,
    from members
    group by all
)
{%- endset %}
{{ months_kept(rollup, "select 6", days_ahead = 6) }}
