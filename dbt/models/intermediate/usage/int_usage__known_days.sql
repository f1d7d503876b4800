-- The days that usage is known of: from its first to the newest that has landed.
select
    (select min(occurred_date) from {{ ref('int_usage__account_days') }}) as first_date,
    {{ newest_landing(exports_of('usage')) }} as last_date,
