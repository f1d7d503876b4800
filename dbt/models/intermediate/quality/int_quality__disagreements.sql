-- Where exports contradict each other or themselves, and what becomes of such rows. Each rule stands here
-- once; nothing of it is rejected, because rejecting looks at one row of one contract. What contracts have
-- refused is counted beside it, by reason.
{%- set checks = {
    "unknown_account": ["warn", "kept_as_unknown", "The accounts export does not know the account; the row counts in the total and in the slice unknown, or that of its subscription"],
    "no_account": ["info", "kept_as_unknown", "The row names no account; it counts in the total and in each slice unknown, and with no account"],
    "before_sign_up": ["warn", "kept", "Dated before its account signed up; it counts on its own date"],
    "unknown_subscription": ["warn", "left_out", "Use of a subscription that no export knows, so of no account; it is in no measure"],
    "outside_subscription": ["warn", "kept", "Use dated outside the time of its subscription; it counts on its own date"],
    "outside_contract": ["warn", "kept", "Use on a day that no subscription of the account covers, trials included; it counts on its own date"],
    "solved_before_created": ["warn", "kept_without_value", "A ticket solved before it was created; it counts, without a time to resolution"],
    "replied_before_created": ["warn", "kept_without_value", "A ticket replied to before it was created; it counts, without a time to the first reply"],
    "status_disagrees_with_solved_at": ["info", "kept", "A ticket that is solved or closed by its status and not by its time, or new, open or pending and solved; the time decides"],
    "unknown_calendar": ["warn", "kept", "A ticket of a calendar that is not in the business_hours seed; the default calendar measures it"],
    "rating_off_scale": ["warn", "kept_without_value", "A rating outside its scale, or without one; the row counts as not rated"],
    "sentiment_off_scale": ["warn", "kept_without_value", "A sentiment outside -1 to 1; the contact counts without it"],
    "unknown_survey_type": ["warn", "left_out", "An answer of a survey that is not in the survey_types seed has no scale and is scored nowhere"],
    "canceled_without_end": ["warn", "left_out", "A canceled subscription needs an end; without it the row never counts"],
    "ends_before_it_starts": ["warn", "left_out", "A subscription row that ends at or before its start covers no time"],
    "without_mrr": ["warn", "left_out", "No exchange rate for the currency, or an amount beyond what MRR can hold; the row is in no sum"],
} %}
{%- set unknown = {"unknown_account": "account_id is not null and not is_known"} %}
{%- set anonymous = dict(unknown, no_account="account_id is null") %}
{%- set exports = [
    {
        "system": "system", "export": "'subscriptions'", "relation": ref('int_revenue__subscriptions'),
        "key": "subscription_id",
        "checks": dict(
            unknown,
            canceled_without_end=is_void(),
            ends_before_it_starts="ended_at <= started_at",
            without_mrr="mrr is null or mrr_original is null",
        ),
    },
    {
        "system": "system", "export": "if(system = 'ravenstack', 'churn_events', 'cancellations')",
        "relation": ref('int_revenue__cancellations'), "key": "cancellation_id", "checks": unknown,
    },
    {"system": "'billing'", "export": "'invoices'", "relation": "invoices", "key": "invoice_id", "checks": unknown},
    {
        "system": "'product'", "export": "'events'", "relation": "product_days", "key": "account_id", "rows": "events",
        "checks": dict(unknown, before_sign_up="occurred_date < signed_up_date", outside_contract="not is_covered"),
    },
    {
        "system": "'ravenstack'", "export": "'feature_usage'", "relation": ref('int_usage__feature_usage'), "key": "usage_id",
        "checks": dict(
            unknown,
            unknown_subscription="account_id is null",
            outside_subscription="account_id is not null and not is_within_subscription",
            before_sign_up="occurred_date < signed_up_date",
        ),
    },
    {
        "system": "system", "export": "if(system = 'ravenstack', 'support_tickets', 'tickets')",
        "relation": ref('int_support__tickets'), "key": "ticket_id",
        "checks": dict(
            anonymous,
            before_sign_up="is_before_sign_up",
            solved_before_created="is_solved_before_created",
            replied_before_created="is_replied_before_created",
            status_disagrees_with_solved_at="if(solved_at is null, lower(status) in ('solved', 'closed'), lower(status) in ('new', 'open', 'pending'))",
            unknown_calendar="is_of_unknown_calendar",
            rating_off_scale="is_rated_off_scale",
        ),
    },
    {
        "system": "'surveys'", "export": "'responses'", "relation": ref('int_surveys__responses'), "key": "response_id",
        "checks": dict(
            anonymous,
            unknown_survey_type="survey_type not in (select survey_type from " ~ ref('survey_types') ~ ")",
        ),
    },
    {"system": "'surveys'", "export": "'invitations'", "relation": ref('int_surveys__invitations'), "key": "invitation_id", "checks": anonymous},
    {
        "system": "'orders'", "export": "'orders'", "relation": ref('int_onboarding__orders'), "key": "order_id",
        "checks": dict(unknown, before_sign_up="ordered_date < signed_up_date"),
    },
    {
        "system": "'communications'", "export": "'touchpoints'", "relation": ref('int_contacts__touches'), "key": "touchpoint_id",
        "checks": dict(unknown, sentiment_off_scale="is_sentiment_off_scale"),
    },
    {
        "system": "'listening'", "export": "'mentions'", "relation": ref('int_listening__mentions'), "key": "mention_id",
        "checks": dict(anonymous, rating_off_scale="is_rating_off_scale"),
    },
    {"system": "'crm'", "export": "'users'", "relation": "users", "key": "account_id", "checks": unknown},
    {"system": "'crm'", "export": "'desired_outcomes'", "relation": ref('int_accounts__desired_outcomes'), "key": "outcome_id", "checks": unknown},
    {"system": "'people'", "export": "'csm_assignments'", "relation": "csm_assignments", "key": "account_id", "checks": unknown},
] %}
with accounts as (
    select account_id, {{ local_date('signed_up_at') }} as signed_up_date,
    from {{ ref('int_accounts__accounts') }}
),

contracts as (
    select
        account_id,
        {{ local_date('started_at') }} as first_date,
        {{ local_date("coalesce(ended_at, timestamp '9999-12-31') - interval 1 microsecond") }} as last_date,
        coalesce(first_date - 1 > max(last_date) over earlier, true) as is_apart,
    from {{ ref('int_revenue__subscriptions') }}
    where not {{ is_void() }} and coalesce(ended_at > started_at, true)
    window earlier as (
        partition by account_id order by first_date, last_date rows between unbounded preceding and 1 preceding
    )
),

-- Those that touch or overlap are one cover: so few of them are looked at for each of many days of use.
covers as (
    select account_id, min(first_date) as first_date, max(last_date) as last_date,
    from (
        select *, count(*) filter (is_apart) over (partition by account_id order by first_date, last_date) as cover,
        from contracts
    )
    group by account_id, cover
),

-- What is in the rollup and was not told per subscription. Without any subscription nobody knows of contracts.
product_days as (
    select
        days.account_id,
        days.occurred_date,
        days.events - coalesce(told.events, 0) as events,
        covers.account_id is not null or not exists (from covers) as is_covered,
    from {{ ref('int_usage__account_days') }} as days
    left join (
        select account_id, occurred_date, sum(usage_count) as events,
        from {{ ref('int_usage__feature_usage') }}
        group by all
    ) as told using (account_id, occurred_date)
    left join covers
        on days.account_id = covers.account_id and days.occurred_date between covers.first_date and covers.last_date
),

invoices as (
    {{ newest_version('billing', 'invoices', 'invoice_id', updated_at = 'updated_at') }}
),

users as (
    {{ newest_snapshot([['crm', 'users']]) }}
),

csm_assignments as (
    {{ newest_snapshot([['people', 'csm_assignments']]) }}
),

counted as (
    {%- for entry in exports %}
    select
        {{ entry.system }} as system,
        {{ entry.export }} as export,
        {{ "sum(" ~ entry.rows ~ ")" if entry.rows else "count(*)" }} as rows,
        [
            {%- for name, condition in entry.checks.items() %}
            {
                check_name: '{{ name }}',
                failures: {{ "coalesce(sum(" ~ entry.rows ~ ")" if entry.rows else "(count(*)" }} filter ({{ condition }}){{ ", 0)" if entry.rows else ")" }},
                examples: min({{ entry.key }}, 5) filter ({{ condition }})
            },
            {%- endfor %}
        ] as checks,
    from (
        select measured.*, accounts.account_id is not null as is_known, accounts.signed_up_date,
        from {{ entry.relation }} as measured
        left join accounts on measured.account_id = accounts.account_id
    )
    group by 1, 2
    {{ "union all" if not loop.last }}
    {%- endfor %}
),

checked as (
    select system, export, rows, unnest(checks, max_depth := 2)
    from counted
),

days as (
    select * from {{ ref('int_quality__export_days') }}
    where landing_date <= {{ as_of_date() }}
),

landed as (
    select system, export, sum(rows_in) as rows,
    from days
    group by all
),

refused as (
    select system, export, unnest(map_entries(reasons), max_depth := 2)
    from days
)

select
    system,
    export,
    check_name,
    severity,
    fate,
    rows::bigint as rows,
    failures::bigint as failures,
    if(failures = 0, [], examples) as examples,
    description,
from checked
inner join (
    values
    {%- for name, (severity, fate, description) in checks.items() %}
    ('{{ name }}', '{{ severity }}', '{{ fate }}', '{{ description }}')
    {{- "," if not loop.last }}
    {%- endfor %}
) as known (check_name, severity, fate, description) using (check_name)
where rows > 0
union all
select
    system,
    export,
    key as check_name,
    'info' as severity,
    'rejected' as fate,
    rows::bigint as rows,
    sum(value)::bigint as failures,
    []::varchar[] as examples,
    'Refused by the contract of the export for this reason; each row lies in rejects' as description,
from refused
inner join landed using (system, export)
group by all
