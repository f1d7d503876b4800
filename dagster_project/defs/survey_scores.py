"""Survey scores: a thin asset around core/surveys.py."""

import dagster as dg

from dagster_project import settings
from dagster_project.core import surveys, warehouse
from dagster_project.core.lake import Lake

_settings = settings.current()
_INPUTS = (
    "intermediate.int_surveys__responses",
    "intermediate.int_surveys__invitations",
    "seeds.survey_types",
    "intermediate.int_accounts__slices",
    "intermediate.int_revenue__account_months",
)


@dg.asset(
    key=["derived", "survey_scores"],
    deps=[table.split(".") for table in (*_INPUTS, "intermediate.int_quality__as_of")],
    group_name="derived",
    kinds={"polars"},
    required_resource_keys={"lock"},
)
def survey_scores() -> dg.MaterializeResult[None]:
    """NPS, CES and CSAT; one row per survey type, slice, window and month."""
    lake = Lake(_settings.data_dir)
    frames = warehouse.read(lake.warehouse, *_INPUTS)
    scores = surveys.scores(
        frames["int_surveys__responses"],
        frames["int_surveys__invitations"],
        frames["survey_types"],
        frames["int_accounts__slices"],
        frames["int_revenue__account_months"],
        as_of=warehouse.as_of_date(lake.warehouse) or warehouse.BEFORE_EVERYTHING,
        small_sample=_settings.integer("min_survey_responses"),
    )
    rows = warehouse.write_derived(lake, "survey_scores", scores)
    return dg.MaterializeResult(metadata={"dagster/row_count": rows})
