"""The Dagster instance in DATA_DIR/.dagster: its configuration, and runs whose process is gone."""

import os
import shutil
from collections.abc import Mapping

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
