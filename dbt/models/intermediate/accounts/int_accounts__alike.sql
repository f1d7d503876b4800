-- Of accounts in the same slices only sums are told, so what is counted by slice is counted first for all
-- that are alike, under the account_id of one of them.
with attributes as (
    select account_id, list(slice_value order by slice_dimension) as slices,
    from {{ ref('int_accounts__slices') }}
    group by all
)

select account_id, min(account_id) over (partition by slices) as alike_account_id,
from attributes
