-- Usage is told per subscription here; the account it belongs to is found by a join, behind staging.
select
    usage_id,
    subscription_id,
    feature_name as feature,
    usage_count,
    usage_duration_secs as duration_seconds,
    error_count,
    is_beta_feature as is_beta,
    cast(usage_date as timestamp) as occurred_at,
    landing_date,
from {{ source('ravenstack', 'feature_usage') }}
where {{ system_is_on('ravenstack') }}
