-- What people wrote, beside what they scored and what their account is worth.
with comments as (
    select
        response_id,
        comment,
        cast(date_trunc('month', responded_date) - interval 1 month as date) as previous_month,
    from {{ ref('int_surveys__responses') }}
    where trim(comment) <> ''
),

themes as (
    select response_id, list(distinct theme order by theme) as themes,
    from comments
    inner join {{ ref('comment_themes') }} on comment ilike pattern
    group by all
)

select
    response_id,
    survey_type,
    metric,
    account_id,
    accounts.segment,
    accounts.plan_tier,
    channel,
    score,
    score_class,
    excluded,
    {{ published_text("comment") }} as comment,
    coalesce(themes, []) as themes,
    -- Nothing is known of the revenue of an account that is in neither CRM nor billing.
    if(accounts.account_id is null, null, coalesce(before.closing_mrr, 0))::decimal(38, 6) as mrr_before,
    accounts.mrr,
    accounts.is_paying,
    accounts.is_in_accounts_export,
    responded_at,
    responded_date,
from {{ source('derived', 'survey_responses') }}
inner join comments using (response_id)
left join themes using (response_id)
left join {{ ref('dim_accounts') }} as accounts using (account_id)
left join {{ ref('int_revenue__account_months') }} as before
    on before.account_id = accounts.account_id and before.period_start = comments.previous_month
