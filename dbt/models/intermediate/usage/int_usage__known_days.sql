-- The days that usage is known of: from its first to the newest that has landed.
select
    (select min(occurred_date) from {{ ref('int_usage__account_days') }}) as first_date,
    max(landing_date) as last_date,
from {{ ref('int_quality__export_days') }}
where
    (system, export) in (('product', 'events'), ('ravenstack', 'feature_usage'))
    and is_in_raw
    and landing_date <= {{ as_of_date() }}
