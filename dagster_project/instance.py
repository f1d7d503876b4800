"""The Dagster instance in DATA_DIR/.dagster: its configuration, and runs whose process is gone or
that are too old to be remembered."""

import datetime as dt
import itertools
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from dagster_project.settings import CHECKOUT, Settings

# On every run of the program itself: it holds the lock on DATA_DIR from before such a run exists to
# after it ended, so whoever holds the lock knows that an unfinished one is dead.
PROGRAM_TAGS = {"launched_by": "make run"}
PROCESS_GONE = "Its process is gone, as after a kill -9."
# Not at their end, and not in the queue.
UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


def prepare_home(settings: Settings) -> None:
    """Make DATA_DIR/.dagster the home of this process and its children."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(CHECKOUT / "dagster.yaml", settings.dagster_home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)


def close_dead_runs(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> None:
    """Fail the unfinished runs with `tags`; the caller holds the lock and knows that they are dead.

    A killed process cannot say so itself, and the queue would wait for its run for ever.
    """
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED, tags=tags)):
        instance.report_run_failed(run, PROCESS_GONE)


def forget_runs(instance: dg.DagsterInstance, before: dt.datetime) -> int:
    """Delete the runs that ended before, with their events and logs; how many.

    Those stay that hold the newest word on an asset or on one of its partitions: without them the
    UI would show a landing day as never extracted.
    """
    old = dg.RunsFilter(statuses=ENDED, updated_before=before)
    run_ids = {run.run_id for run in instance.get_runs(old)}
    if run_ids:
        run_ids -= _speaking_runs(instance)
    for run_id in run_ids:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        # SQLite has a file per run, which deleting only empties.
        for file in Path(instance.root_directory, "history", "runs").glob(f"{run_id}.db*"):
            file.unlink()
    return len(run_ids)


def _speaking_runs(instance: dg.DagsterInstance) -> set[str]:
    storage = instance.event_log_storage
    made, runs = dg.DagsterEventType.ASSET_MATERIALIZATION, set[str]()
    for key in instance.all_asset_keys():
        if newest := instance.get_latest_materialization_event(key):
            runs.add(newest.run_id)
        # Days whose newest attempt failed.
        attempts = (
            storage.get_latest_asset_partition_materialization_attempts_without_materializations(
                key
            )
        )
        runs |= {run_id for run_id, _ in attempts.values()}
        ids = iter(storage.get_latest_storage_id_by_partition(key, made).values())
        while some := list(itertools.islice(ids, 500)):
            chosen = dg.AssetRecordsFilter(key, storage_ids=some)
            records = instance.fetch_materializations(chosen, limit=len(some)).records
            runs |= {record.run_id for record in records}
    return runs
