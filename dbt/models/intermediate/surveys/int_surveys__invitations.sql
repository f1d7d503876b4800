with invitations as (
    {{ newest_version('surveys', 'invitations', 'invitation_id') }}
)

select *, {{ local_date('sent_at') }} as sent_date,
from invitations
where sent_at < {{ as_of_end() }}
