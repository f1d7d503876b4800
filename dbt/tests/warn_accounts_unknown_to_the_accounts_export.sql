-- Exports disagree now and then: their money and answers are kept, sliced as unknown, and counted here.
{{ config(severity = 'warn') }}
with mentioned as (
    select 'subscriptions' as export, account_id from {{ ref('int_revenue__subscriptions') }}
    union
    select 'orders', account_id from {{ ref('int_onboarding__orders') }}
    union
    select 'responses', account_id from {{ ref('int_surveys__responses') }} where account_id is not null
)

select export, account_id,
from mentioned
anti join {{ ref('int_accounts__accounts') }} as accounts using (account_id)
