"""The build: when raw holds something other than what was last published."""

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

from dagster_project import settings, state
from dagster_project.core.lake import Lake
from dagster_project.core.lock import exclusive
from dagster_project.core.publish import current_release
from dagster_project.instance import PROGRAM_TAGS, UNFINISHED, close_dead_runs

_settings = settings.current()
_lake = Lake(_settings.data_dir)

build_and_publish = dg.define_asset_job(
    "build_and_publish",
    selection=dg.AssetSelection.all() - dg.AssetSelection.tag("layer", "raw"),
    description="dbt, Polars, checks and publishing, from what is in raw.",
)


class BusyError(Exception):
    """Somebody else works on DATA_DIR; its text says who."""


def _give_up(who: str) -> None:
    raise BusyError(who)


@dg.sensor(
    job=build_and_publish,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def raw_changed(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask for one build per state of raw, once everything that changes it has ended.

    The state, not a run's end, is what counts: a backfill of many runs is rebuilt and published
    once, and an extraction that changed nothing not at all.
    """
    try:
        with exclusive(_lake.lock, on_wait=_give_up, what="the sensor raw_changed"):
            close_dead_runs(context.instance, PROGRAM_TAGS)
    except BusyError as busy:
        return dg.SkipReason(str(busy))
    pending = [dg.DagsterRunStatus.QUEUED, *UNFINISHED]
    if context.instance.get_runs_count(dg.RunsFilter(statuses=pending)):
        return dg.SkipReason("A run is queued or under way.")
    if context.instance.get_backfills(BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])):
        return dg.SkipReason("A backfill is under way.")
    raw_state = state.raw_state(_settings)
    release = current_release(_lake.published)
    if raw_state == release.get("raw_state", state.EMPTY):
        return dg.SkipReason("What is published was built from what is in raw.")
    # With the release it follows, so that raw data put back to an earlier state is built again.
    return dg.RunRequest(run_key=f"{raw_state}-after-{release.get('release_id')}")
