-- Such rows are kept or left out as the mart says, and are never in the way of publishing.
{{ config(severity = 'warn') }}
select system, export, check_name, failures, examples,
from {{ ref('mart_data_quality') }}
where severity = 'warn' and failures > 0
