-- Greenwood's 95 % band is undefined once nobody is left.
select
    subject,
    slice_dimension,
    slice_value,
    age_days,
    at_risk,
    events,
    censored,
    survival,
    if(survival > 0, greatest(survival - 1.96 * survival * sqrt(greenwood), 0), null) as ci_low,
    if(survival > 0, least(survival + 1.96 * survival * sqrt(greenwood), 1), null) as ci_high,
    -- A product of doubles may miss a half or a quarter by its last digit.
    min(age_days) filter (round(survival, 12) <= 0.5) over curve as median_days,
    min(age_days) filter (round(survival, 12) <= 0.25) over curve as p75_days,
    {{ ratio('sum(age_days * events) over curve', 'sum(events) over curve') }} as naive_mean_days,
from {{ ref('int_retention__survival') }}
window curve as (partition by subject, slice_dimension, slice_value)
