with accounts as (
    {{ newest_snapshot(exports_of('accounts')) }}
)

select
    account_id,
    account_name,
    csm_owner,
from accounts
