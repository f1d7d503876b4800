-- Without a good day of the accounts export nothing can be dated, so nothing may be published.
select 'no landing day of the accounts export has passed{{ " by " ~ var("as_of") if var("as_of") }}' as problem
from {{ ref('int_quality__as_of') }}
where as_of_date is null
