with accounts as (
    {{ newest_snapshot([['crm', 'accounts'], ['ravenstack', 'accounts']]) }}
)

select * exclude (account_name, csm_owner)
from accounts
