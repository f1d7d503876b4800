-- Kept and counted: use dated outside the time of its subscription; and use of an unknown subscription,
-- which belongs to no account and is in no sum.
{{ config(severity = 'warn') }}
select
    if(account_id is null, 'unknown subscription', 'outside its subscription') as problem,
    count(*) as rows,
    sum(usage_count) as events,
from {{ ref('int_usage__feature_usage') }}
where not is_within_subscription
group by all
