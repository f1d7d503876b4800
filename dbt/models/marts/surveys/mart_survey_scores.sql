select * from {{ source('derived', 'survey_scores') }}
