"""Survey scores and the class of each answer: thin assets around core/surveys.py."""

from collections.abc import Iterator

import dagster as dg

from dagster_project import settings
from dagster_project.core import surveys, warehouse
from dagster_project.retries import passing_faults

_settings = settings.current()
_INPUTS = (
    "intermediate.int_surveys__responses",
    "intermediate.int_surveys__invitations",
    "seeds.survey_types",
    "intermediate.int_accounts__slices",
    "intermediate.int_revenue__account_months",
)


_DEPS = [table.split(".") for table in (*_INPUTS, "intermediate.int_quality__as_of")]


# One step for both: the scores count the classes, and no derived table reads another.
@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            ["derived", name], deps=_DEPS, group_name="derived", kinds={"polars"}, description=grain
        )
        for name, grain in (
            ("survey_scores", "NPS, CES, CSAT; one row per survey type, slice, window and month."),
            ("survey_responses", "Each answer with its class; one row per answer."),
        )
    ],
    required_resource_keys={"lock"},
)
def survey_scores(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    lake = _settings.lake
    with passing_faults(context):
        frames = warehouse.read(lake.warehouse, _settings.engine, *_INPUTS)
        scores = surveys.scores(
            frames["int_surveys__responses"],
            frames["int_surveys__invitations"],
            frames["survey_types"],
            frames["int_accounts__slices"],
            frames["int_revenue__account_months"],
            as_of=warehouse.as_of_date(lake.warehouse, _settings.engine)
            or warehouse.BEFORE_EVERYTHING,
            small_sample=_settings.integer("min_survey_responses"),
        )
        classes = surveys.classes(frames["int_surveys__responses"], frames["survey_types"])
        for name, frame in (("survey_scores", scores), ("survey_responses", classes)):
            rows = warehouse.write_derived(lake, name, frame)
            yield dg.MaterializeResult(
                asset_key=["derived", name], metadata={"dagster/row_count": rows}
            )
