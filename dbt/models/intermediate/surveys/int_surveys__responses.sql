with responses as (
    {{ newest_version('surveys', 'responses', 'response_id') }}
)

select
    * replace (coalesce(is_test, false) as is_test),
    {{ local_date('responded_at') }} as responded_date,
from responses
where responded_at < {{ as_of_end() }}
