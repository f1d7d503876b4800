-- Kaplan and Meier's product over the ages at which something happened, with Greenwood's sum.
with ages as (
    select
        subject,
        slice_dimension,
        slice_value,
        age_days,
        count(*) filter (is_event) as events,
        count(*) filter (not is_event) as censored,
    from {{ ref('int_retention__durations') }}
    inner join {{ ref('int_accounts__slices') }} using (account_id)
    group by all
),

at_risk as (
    select
        *,
        sum(events + censored) over (
            partition by subject, slice_dimension, slice_value
            order by age_days
            rows between current row and unbounded following
        )::bigint as at_risk,
    from ages
)

select
    *,
    product(1 - events / at_risk) over by_age as survival,
    sum(events / nullif(at_risk * (at_risk - events), 0)) over by_age as greenwood,
from at_risk
window by_age as (partition by subject, slice_dimension, slice_value order by age_days)
