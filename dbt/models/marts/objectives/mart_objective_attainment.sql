select * from {{ ref('int_objectives__attainment') }}
