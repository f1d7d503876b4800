-- Every account is in one state of eligibility, and every entitled account in one state of each feature.
select slice_dimension, slice_value, period_start,
from {{ ref('mart_rate_of_adoption') }}
where
    eligible + unknown + not_eligible <> accounts
    or eligible_now + unknown_now + not_eligible_now <> accounts
    or adopted > eligible
    or adopted_now > eligible_now
union all
select 'feature', feature, period_start,
from {{ ref('mart_feature_adoption') }}
where tried + adopted + dropped + never_tried <> entitled_accounts or never_tried < 0
