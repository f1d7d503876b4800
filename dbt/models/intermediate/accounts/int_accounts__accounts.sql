with accounts as (
    {{ newest_snapshot(exports_of('accounts')) }}
)

select * exclude (account_name, csm_owner)
from accounts
