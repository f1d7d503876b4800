-- A milestone whose export never arrived has no data: nobody can be said not to have reached it.
with sources (source, system, export) as (
    values
        ('event', 'product', 'events'),
        ('order', 'orders', 'orders'),
        ('outcome', 'crm', 'desired_outcomes')
),

arrived as (
    select system, export,
    from {{ ref('int_quality__export_days') }}
    where is_in_raw and landing_date <= {{ as_of_date() }}
)

select milestones.*
from {{ ref('onboarding_milestones') }} as milestones
inner join sources using (source)
semi join arrived using (system, export)
