-- How long until it happened, or until the watch ended: what a survival curve is made of.
select
    'logo' as subject,
    account_id,
    duration_days as age_days,
    ended_at is not null as is_event,
from {{ ref('int_revenue__account_spells') }}
where spell_number = 1
union all
select
    milestone as subject,
    account_id,
    date_diff('day', started_date, observed_until) as age_days,
    status = 'reached' as is_event,
from {{ source('derived', 'onboarding_milestones') }}
