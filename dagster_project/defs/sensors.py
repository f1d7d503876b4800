"""The build: when raw holds something other than what was last published."""

import time

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

from dagster_project import manifest, settings, state
from dagster_project.core.lock import exclusive
from dagster_project.core.publish import current_release
from dagster_project.instance import PROGRAM_TAGS, UNFINISHED, close_dead_runs
from dagster_project.retries import broke_off

_settings = settings.current()
_lake = _settings.lake

build_and_publish = dg.define_asset_job(
    "build_and_publish",
    selection=dg.AssetSelection.all() - dg.AssetSelection.tag("layer", "raw"),
    description="dbt, Polars, checks and publishing, from what is in raw.",
)


BUILDS = "builds"  # tag: the state of raw that is built
# The wait before the third attempt at a build that broke off; it doubles after each.
FIRST_PAUSE = 3600.0  # seconds


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
    once, and an extraction that changed nothing not at all. Builds that broke off are asked for
    again, the first at once: a full disk should be free before many of them have filled it.
    """
    try:
        what = "the sensor raw_changed"
        with exclusive(_lake.lock, on_wait=_give_up, what=what, heals=False):
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
    # With the release it follows, so that raw data put back to an earlier state is built again, and
    # with the code and what raw has lost: once those are mended a build is asked for again.
    wrong = manifest.hash_of([], state.code_state(_settings), state.lost_days(_settings))
    key = f"{raw_state}-after-{release.get('release_id')}-{wrong[:12]}"
    # Dagster skips a key of which there is a run.
    broken = _broken_off(context.instance, key)
    if len(broken) > 1:
        wait = max(broken) + FIRST_PAUSE * 2 ** (len(broken) - 2) - time.time()
        if wait > 0:
            return dg.SkipReason(f"{len(broken)} builds broke off; the next in {wait:.0f} s.")
    return dg.RunRequest(run_key=f"{key}-{len(broken)}" if broken else key, tags={BUILDS: key})


def _broken_off(instance: dg.DagsterInstance, key: str) -> list[float]:
    """When the builds of `key` ended that came to no end of their own (seconds)."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags={BUILDS: key})
    return [
        record.update_timestamp.timestamp()
        for record in instance.get_run_records(failed)
        if broke_off(instance, record.dagster_run.run_id)
    ]
