-- What was up for renewal is renewed, lost or open, in money and in accounts.
select *
from {{ ref('mart_renewals') }}
where
    renewed_capped + lost_mrr + open_mrr <> exposed_mrr
    or renewed_accounts + lost_accounts + open_accounts <> exposed_accounts
    or least(renewed_capped, lost_mrr, open_mrr) < 0
    or renewed_capped > renewed_mrr
