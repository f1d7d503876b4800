{%- set snapshots = [] -%}
{%- for source in graph.sources.values() if execute and source.config.meta.kind == "snapshot" -%}
{%- do snapshots.append("'" ~ source.source_name ~ "/" ~ source.name ~ "'") -%}
{%- endfor -%}
-- What raw holds now against what it held behind a close. Of a snapshot only the newest day counts.
with closes as (
    select distinct ledger_seq from {{ ref('int_metrics__closes') }}
),

attempts as (
    select seq, system || '/' || export as export, landing_date, content_key,
    from {{ ref('stg_lake__extractions') }}
    where
        status = 'ok'
        and landing_date <= {{ as_of_date() }}
),

contents as (
    select
        ledger_seq,
        export,
        landing_date,
        arg_max(content_key, seq) filter (seq <= ledger_seq) as content_then,
        arg_max(content_key, seq) as content_now,
    from attempts
    cross join closes
    group by all
),

counting as (
    select *
    from contents
    qualify
        export not in ({{ snapshots | join(", ") or "''" }})
        or landing_date = max(landing_date) over (partition by ledger_seq, export)
)

select
    ledger_seq,
    export,
    landing_date,
    content_then is not null as is_correction,
from counting
where content_now is distinct from content_then
