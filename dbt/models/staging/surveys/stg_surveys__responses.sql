select
    response_id,
    survey_type,
    respondent_id,
    account_id,
    sent_at,
    responded_at,
    score,
    comment,
    channel,
    is_test,
    landing_date,
from {{ source('surveys', 'responses') }}
where {{ system_is_on('surveys') }}
