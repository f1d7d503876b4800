-- Each landing day is read once for the days that its events happened on, and again only when it is
-- replaced: so a night knows which days of history it touches without reading history.
{{ config(
    materialized = 'incremental',
    unique_key = 'landing_date',
    grain = ['landing_date', 'occurred_date'],
    post_hook = "delete from {{ this }} where landing_date not in (select landing_date from {{ ref('int_quality__export_days') }} where system = 'product' and export = 'events' and is_in_raw)"
) }}
{%- set occurred_date = local_date('occurred_at') %}
{%- set version = code_version(occurred_date) %}
with days as (
    select landing_date, md5(content_key || '{{ version }}') as content_key
    from {{ ref('int_quality__export_days') }}
    where system = 'product' and export = 'events' and is_in_raw
),

new as (
    select *
    from days
    {%- if is_incremental() %}
    anti join {{ this }} as known using (landing_date, content_key)
    {%- endif %}
),

dates as (
    select landing_date, {{ occurred_date }} as occurred_date, count(*) as events,
    from {{ ref('stg_product__events') }}
    where landing_date in (select landing_date from new)
    group by all
)

-- A day without events is known too.
select landing_date, content_key, occurred_date, events
from new
left join dates using (landing_date)
