select *
from {{ ref('mart_survey_scores') }}
where
    favourable + neutral + unfavourable <> responses
    or least(favourable, neutral, unfavourable) < 0
