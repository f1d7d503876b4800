-- No account is in the segment, so there is nothing to measure: misspelt, or not there yet.
{{ config(severity = 'warn') }}
with scopes as (
    select 'objective' as kind, objective_id as id, segment
    from {{ ref('objectives') }}
    union all
    select 'investment' as kind, investment_id as id, scope_segment as segment
    from {{ ref('investments') }}
)

select distinct kind, id, segment,
from scopes
anti join (
    select if(slice_dimension = 'total', 'all', slice_value) as segment
    from {{ ref('int_accounts__slices') }}
    where slice_dimension in ('total', 'segment')
) as known using (segment)
