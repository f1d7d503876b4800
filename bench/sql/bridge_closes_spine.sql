-- The usual way: every account in every month, and what covers its close. Where nothing does, a hole in
-- the cover of at most seven days carries the MRR of the instant at which it began.
create table closes as
with spine as (
    select account_id, period_start, close_at
    from (select distinct account_id from covers)
    cross join months
),

covered as (
    select spine.account_id, period_start, close_at, sum(mrr) as mrr
    from spine
    left join covers
        on
            covers.account_id = spine.account_id
            and covered_from < close_at
            and covered_until >= close_at
    group by all
),

holes as (
    select
        covered.account_id,
        period_start,
        max(covered_until) filter (covered_until < close_at) as hole_from,
        min(covered_from) filter (covered_from >= close_at) as hole_until,
    from covered
    inner join covers using (account_id)
    where covered.mrr is null
    group by all
    having hole_until <= hole_from + interval 7 day
),

carried as (
    select holes.account_id, period_start, sum(mrr) as mrr
    from holes
    inner join covers
        on
            covers.account_id = holes.account_id
            and covered_from < hole_from
            and covered_until >= hole_from
    group by all
)

select account_id, period_start, coalesce(covered.mrr, carried.mrr, 0) as closing_mrr
from covered
left join carried using (account_id, period_start);
