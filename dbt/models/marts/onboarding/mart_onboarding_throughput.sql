select * from {{ source('derived', 'onboarding_throughput') }}
