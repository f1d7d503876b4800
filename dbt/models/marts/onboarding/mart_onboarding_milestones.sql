select * from {{ source('derived', 'onboarding_milestones') }}
