-- Each rate holds until the next one. The first known rate also serves the time before it: a
-- subscription that is older than the rates export is worth something, and the rate nearest to its
-- start is the best there is.
with rates as (
    {{ newest_version('billing', 'fx_rates', 'rate_date, currency') }}
),

known as (
    select rate_date, currency, base_per_unit
    from rates
    where rate_date <= {{ as_of_date() }} and currency <> '{{ var("base_currency") }}'
    union all
    select date '0001-01-01', '{{ var("base_currency") }}', 1
)

select
    currency,
    base_per_unit,
    if(row_number() over by_currency = 1, date '0001-01-01', rate_date) as valid_from,
    coalesce(lead(rate_date) over by_currency, date '9999-12-31') as valid_to,
from known
window by_currency as (partition by currency order by rate_date)
