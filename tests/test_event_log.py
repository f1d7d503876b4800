"""The event log that stays open: what it stores, and what Dagster's own storage reads of it."""

import os
import shutil
import subprocess
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from program import CHECKOUT

from dagster_project import __main__, settings
from dagster_project.event_log import OpenEventLog


def stored(log: SqliteEventLogStorage, run_id: str) -> None:
    for number in range(3):
        log.store_event(
            dg.EventLogEntry(  # type: ignore[no-untyped-call]
                error_info=None,
                level="info",
                user_message=f"{run_id} {number}",
                run_id=run_id,
                timestamp=1735689600.0 + number,
            )
        )


def told(log: SqliteEventLogStorage, run_id: str) -> list[str]:
    return [entry.user_message for entry in log.get_logs_for_run(run_id)]


def test_dagster_reads_the_log_of_a_run_that_is_going_on(tmp_path: Path) -> None:
    log = OpenEventLog(str(tmp_path))
    stored(log, "one")
    assert told(SqliteEventLogStorage(str(tmp_path)), "one") == ["one 0", "one 1", "one 2"]


def test_of_many_runs_the_last_one_asked_for_stays_open(tmp_path: Path) -> None:
    log = OpenEventLog(str(tmp_path))
    for run_id in ("one", "two", "one"):
        stored(log, run_id)
    assert told(log, "two") == ["two 0", "two 1", "two 2"]
    assert told(log, "one") == ["one 0", "one 1", "one 2"] * 2
    assert log._engines.keys() <= {"index", "one"}
    log.dispose()
    assert not log._engines


def test_what_make_dev_becomes_finds_this_event_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became = list[str]()
    monkeypatch.setattr(os, "execv", lambda _, arguments: became.extend(arguments))
    for step in ("prepare", "_free_the_queue"):
        monkeypatch.setattr(__main__, step, lambda _: 0)
    monkeypatch.chdir(CHECKOUT)
    __main__.dev(settings.current(), port=3000)
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    info = subprocess.run(
        [*became[: became.index("dev")], "instance", "info"],
        env=environment | {"DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert info.returncode == 0, info.stderr
    assert "OpenEventLog" in info.stdout
