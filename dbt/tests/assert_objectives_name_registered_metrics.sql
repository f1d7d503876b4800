-- A misspelt metric would be graded by nothing; mart_metric_definitions lists what there is.
select objective_id, metric_name, valid_from,
from {{ ref('objectives') }}
where metric_name not in ({% for metrics in metrics_by_measures().values() %}{% set last_model = loop.last %}{% for metric in metrics %}'{{ metric.name }}'{{ ", " if not (loop.last and last_model) }}{% endfor %}{% endfor %})
