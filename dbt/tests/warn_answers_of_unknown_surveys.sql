-- An answer whose survey_type is not in the seed has no scale and is scored nowhere.
{{ config(severity = 'warn') }}
select survey_type, count(*) as answers,
from {{ ref('int_surveys__responses') }}
anti join {{ ref('survey_types') }} as survey_types using (survey_type)
group by all
