-- The tiers an account had in a month. At the close those of the rows in force count, or of the last one
-- where a short hole in the cover is carried; rows that cost something before those that do not.
with months as (
    select
        period_start,
        open_at,
        close_at,
    from {{ ref('int_quality__months') }}
    -- Of closes by which no use of any feature was told, nobody knows who used none.
    where close_date > (
        select min(first_used_date)
        from {{ ref('int_adoption__month_rollup') }}
        where grain = 'account_feature'
    )
),

tiers as (
    select
        items.account_id,
        months.period_start,
        items.plan_tier,
        bool_or(coalesce(items.covered_to, timestamp 'infinity') > months.open_at) as is_in_month,
        -- One number, because DuckDB compares it twice as fast as the two.
        max(
            2 * epoch_us(least(items.covered_to, months.close_at)) + coalesce(items.mrr > 0, false)::integer
        ) as recency,
    from {{ ref('int_revenue__item_periods') }} as items
    inner join months
        on
            items.covered_from < months.close_at
            and coalesce(items.covered_to, timestamp 'infinity')
            >= months.open_at - interval {{ var("gap_tolerance_days") }} day
    where not items.is_empty
    group by all
),

newest as (
    select account_id, period_start, max(recency) as recency,
    from tiers
    inner join {{ ref('int_revenue__account_months') }} using (account_id, period_start)
    where closing_accounts = 1
    group by all
),

held as (
    select tiers.*, coalesce(tiers.recency = newest.recency, false) as is_at_close,
    from tiers
    left join newest using (account_id, period_start)
)

select
    account_id,
    period_start,
    list_sort(list({plan_tier: plan_tier, is_at_close: is_at_close})) as tiers,
    coalesce(
        bool_or(is_at_close and plan_tier in (select plan_tier from {{ ref('feature_catalog') }})), false
    ) as is_known,
from held
where is_in_month or is_at_close
group by all
