-- The swiftest way we know: an account's MRR as running sum of what starts less what ends.
create table closes as
with steps as (
    select account_id, covered_from as step_at, sum(mrr) as amount from covers group by all
    union all
    select account_id, covered_until, -sum(mrr) from covers group by all
),

running as (
    select
        account_id,
        step_at,
        sum(sum(amount)) over by_account as mrr,
        lead(step_at) over by_account as until_at,
    from steps
    group by account_id, step_at
    window by_account as (partition by account_id order by step_at)
),

carried as (
    select
        account_id,
        step_at,
        until_at,
        if(
            mrr = 0 and until_at <= step_at + interval 7 day,
            lag(mrr) over (partition by account_id order by step_at),
            mrr
        ) as mrr,
    from running
)

select spine.account_id, spine.period_start, coalesce(mrr, 0) as closing_mrr
from (
    select account_id, period_start, close_at
    from (select distinct account_id from covers) cross join months
) as spine
asof left join carried on carried.account_id = spine.account_id and spine.close_at > carried.step_at;
