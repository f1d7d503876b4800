select
    invitation_id,
    survey_type,
    respondent_id,
    account_id,
    sent_at,
    landing_date,
from {{ source('surveys', 'invitations') }}
where {{ system_is_on('surveys') }}
