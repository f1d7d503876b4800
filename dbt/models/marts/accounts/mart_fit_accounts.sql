select
    account_id,
    fit_class,
    recommended_treatment,
    evidence,
    missing_inputs,
    fit_points,
    least_points,
    most_points,
from {{ ref('int_accounts__fit') }}
