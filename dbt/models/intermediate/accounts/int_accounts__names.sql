with accounts as (
    {{ newest_snapshot([['crm', 'accounts'], ['ravenstack', 'accounts']]) }}
)

select
    account_id,
    account_name,
    csm_owner,
from accounts
