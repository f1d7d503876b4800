select * from {{ source('derived', 'survey_responses') }}
