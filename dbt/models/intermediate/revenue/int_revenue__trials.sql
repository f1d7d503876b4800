{%- set windows = [var("trial_window_days"), 30, 60, 90] | unique | list %}
-- Trial time of an account that did not pay when it began; trials with at most a tolerated hole between
-- them are one. It converts with the first payment since its start; a row that was overdue from its
-- first day is a missed conversion. Windows are counted from the end of the trial.
with rows_on_trial as (
    select
        account_id,
        started_at,
        trial_until,
        max(trial_until) over (
            partition by account_id
            order by started_at, trial_until
            rows between unbounded preceding and 1 preceding
        ) as tried_until,
    from {{ ref('int_revenue__subscriptions') }}
    where trial_until > started_at and started_at < {{ as_of_end() }} and not {{ is_void() }}
),

numbered as (
    select
        *,
        count(*) filter (tried_until is null or started_at > tried_until + interval {{ var("gap_tolerance_days") }} day)
            over (partition by account_id order by started_at, trial_until) as trial_number,
    from rows_on_trial
),

trials as (
    select
        account_id,
        trial_number,
        min(started_at) as started_at,
        nullif(max(trial_until), timestamp 'infinity') as ends_at,
    from numbered
    group by all
),

paid as (
    select
        account_id,
        paid_from,
        coalesce(service_ended_at, {{ as_of_end() }}) as paid_to,
        is_overdue,
        -- Of a subscription that was paid for before, what is overdue is but late.
        not is_overdue or coalesce(bool_or(not is_overdue) over (
            partition by account_id, subscription_id order by started_at rows between unbounded preceding and 1 preceding
        ), false) as is_of_payer,
    from {{ ref('int_revenue__item_periods') }}
    -- Where no grace is left, what was never paid for ends as it begins.
    where mrr_original > 0 and (paid_from < paid_to or (is_dunned and paid_from = service_ended_at))
),

followed as (
    select
        trials.account_id,
        trials.trial_number,
        coalesce(
            bool_or(paid_from <= started_at and paid_to > started_at) filter (is_of_payer), false
        ) as was_paying,
        min(paid_from) filter (not is_overdue and paid_from >= started_at) as converted_at,
        min(paid_from) filter (is_overdue and paid_from >= started_at) as failed_at,
    from trials
    left join paid using (account_id)
    group by all
),

judged as (
    select
        *,
        {{ month_of(local_date('started_at')) }} as period_start,
        {%- for days in windows %}
        -- A payment in the last instant counts, so that instant has to be past.
        coalesce(ends_at + interval {{ days }} day < {{ as_of_end() }}, false) as is_matured_{{ days }},
        coalesce(converted_at <= ends_at + interval {{ days }} day, false) as is_converted_{{ days }},
        {%- endfor %}
    from trials
    inner join followed using (account_id, trial_number)
    where not was_paying
)

select
    account_id,
    trial_number,
    ends_at is null or ends_at >= {{ as_of_end() }} as is_running,
    is_matured_{{ var("trial_window_days") }} as is_matured,
    is_converted_{{ var("trial_window_days") }} as is_converted,
    not is_converted
    and coalesce(failed_at <= ends_at + interval {{ var("trial_window_days") }} day, false)
        as is_failed_first_payment,
    {%- for days in windows %}
    is_converted_{{ days }},
    -- A cohort is read once it is complete and every trial with a known end has had its time.
    months.is_complete_period and is_matured_{{ days }} and bool_and(is_matured_{{ days }} or ends_at is null)
        over (partition by period_start) as is_rated_{{ days }},
    {%- endfor %}
    started_at,
    ends_at,
    converted_at,
    period_start,
from judged
inner join {{ ref('int_quality__months') }} as months using (period_start)
