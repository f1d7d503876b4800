-- Every day that landed, also after the as-of day: a failed accounts export is what holds that back.
-- A day whose newest attempt failed keeps the raw rows of its last good one, and is stale; so is the
-- newest day in raw when a later day of its export failed, because the marts are built from it. What raw
-- holds of days before the first one is not read.
with attempts as (
    select *
    from {{ ref('stg_lake__extractions') }}
    {% if var("as_of") %}where landing_date <= date '{{ var("as_of") }}'{% endif %}
),

days as (
    select
        system,
        export,
        landing_date,
        arg_max(status, seq) = 'failed' as has_failed,
        max_by(error, seq) as error,
        arg_max(attempts, seq) filter (status = 'ok' and landing_date >= date '{{ var("first_day") }}') as good,
        good is not null as is_in_raw,
    from attempts
    group by all
),

judged as (
    select
        *,
        max(landing_date) filter (is_in_raw) over (partition by system, export) as newest_in_raw,
        max(landing_date) filter (has_failed) over (partition by system, export) as newest_failed,
        max_by(error, landing_date) filter (has_failed) over (partition by system, export) as newest_error,
    from days
)

select
    system,
    export,
    landing_date,
    case
        when not is_in_raw then 'failed'
        when has_failed or (landing_date = newest_in_raw and newest_failed > landing_date) then 'stale'
        else 'ok'
    end as status,
    case
        when has_failed then error
        when not is_in_raw then 'lies before the first day'
        when landing_date = newest_in_raw and newest_failed > landing_date then newest_error
    end as error,
    coalesce(good.files, 0) as files,
    coalesce(good.rows_in, 0) as rows_in,
    coalesce(good.rows_accepted, 0) as rows_accepted,
    coalesce(good.rows_rejected, 0) as rows_rejected,
    coalesce(good.rows_superseded, 0) as rows_superseded,
    good.reasons,
    good.drift,
    good.content_key,
    is_in_raw,
from judged
