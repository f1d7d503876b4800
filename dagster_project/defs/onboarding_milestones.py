"""Onboarding milestones and throughput: thin assets around core/milestones.py."""

from collections.abc import Iterator

import dagster as dg

from dagster_project import settings
from dagster_project.core import milestones, warehouse
from dagster_project.retries import passing_faults

_settings = settings.current()
_INPUTS = (
    "intermediate.int_onboarding__starts",
    "intermediate.int_onboarding__occurrences",
    "intermediate.int_onboarding__milestones",
    "intermediate.int_accounts__slices",
)
_DEPS = [table.split(".") for table in (*_INPUTS, "intermediate.int_quality__as_of")]


# One step for both: throughput counts what the milestones say, and no derived table reads another.
@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            ["derived", name], deps=_DEPS, group_name="derived", kinds={"polars"}, description=grain
        )
        for name, grain in (
            ("onboarding_milestones", "Time to each milestone; one row per account and milestone."),
            ("onboarding_throughput", "Started, completed, left; one row per slice and period."),
        )
    ],
    required_resource_keys={"lock"},
)
def onboarding(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    lake = _settings.lake
    with passing_faults(context):
        frames = warehouse.read(lake.warehouse, _settings.engine, *_INPUTS)
        as_of = (
            warehouse.as_of_date(lake.warehouse, _settings.engine) or warehouse.BEFORE_EVERYTHING
        )
        reached = milestones.reach(
            frames["int_onboarding__starts"],
            frames["int_onboarding__occurrences"],
            frames["int_onboarding__milestones"],
            as_of,
        )
        throughput = milestones.throughput(
            reached,
            frames["int_accounts__slices"],
            as_of,
            week_start=str(_settings.policies["week_start"]),
        )
        for name, frame in (
            ("onboarding_milestones", reached),
            ("onboarding_throughput", throughput),
        ):
            rows = warehouse.write_derived(lake, name, frame)
            yield dg.MaterializeResult(
                asset_key=["derived", name], metadata={"dagster/row_count": rows}
            )
