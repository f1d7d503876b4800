-- An outcome is due until the end of its due date; what was achieved later was achieved late.
with outcomes as (
    {{ newest_snapshot([['crm', 'desired_outcomes']]) }}
),

known as (
    select
        * exclude (achieved_at, evidence),
        if(achieved_at < {{ as_of_end() }}, achieved_at, null) as achieved_at,
        if(achieved_at < {{ as_of_end() }}, evidence, null) as evidence,
    from outcomes
)

select
    *,
    {{ local_date('achieved_at') }} as achieved_date,
    case
        when achieved_date > due_date then 'achieved_late'
        when achieved_date is not null then 'achieved'
        when due_date is null then 'no_due_date'
        when due_date > {{ as_of_date() }} then 'open'
        else 'overdue'
    end as status,
    date_diff('day', due_date, coalesce(achieved_date, {{ as_of_date() }})) as days_after_due,
from known
