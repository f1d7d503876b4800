"""Faults of the machine: told from others, said in one sentence, tried again if they may pass."""

import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import dagster as dg
import duckdb
import pytest
from program import CHECKOUT, run_program

from dagster_project import retries, settings, state
from dagster_project.core import machine, samples, warehouse
from dagster_project.core.extraction import AccountingError
from dagster_project.core.lake import Lake
from dagster_project.core.lock import holder
from dagster_project.instance import close_dead_runs

CELL = "'No space left: Jane Doe timed out'"


@pytest.mark.parametrize(
    ("error", "is_of_the_machine", "may_pass"),
    [
        (OSError(28, "No space left on device", "/data/x"), True, False),
        (OSError(30, "Read-only file system"), True, False),
        (PermissionError(13, "Permission denied", "/data/x"), True, False),
        (FileNotFoundError(2, "No such file or directory"), True, True),
        (OSError(5, "Input/output error"), True, True),
        (MemoryError(), True, True),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), True, False),
        (
            RuntimeError("failed\n\nIO Error: Could not set lock on file: Conflicting lock"),
            True,
            True,
        ),
        (duckdb.IOException('IO Error: Could not write file "x": File too large'), True, False),
        (duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate"), True, True),
        (sqlite3.OperationalError("database is locked"), True, True),
        (sqlite3.OperationalError("disk I/O error"), True, False),
        (sqlite3.OperationalError("unable to open database file"), True, False),
        (AccountingError("3 rows in are not 1 + 1 + 0"), False, False),
        (duckdb.BinderException("Binder Error: no such column"), False, False),
        # What a cell says.
        (duckdb.ConversionException(f"Conversion Error: {CELL} to INT32"), False, False),
        (duckdb.InvalidInputException(f"Invalid Input Error: {CELL}"), False, False),
        (duckdb.ConstraintException(f"Constraint Error: Duplicate key {CELL}"), False, False),
        (ValueError(CELL), False, False),
        (RuntimeError(f"Runtime Error in model a\n  Conversion Error: {CELL}"), False, False),
        (
            RuntimeError(f"in model a\n  Conversion Error: {CELL}\nin b\n  IO Error: Interrupted"),
            True,
            True,
        ),
        (RuntimeError("Got 3 results, configured to fail if != 0"), False, False),
    ],
)
def test_a_fault_of_the_machine_is_told_from_others(
    error: Exception, is_of_the_machine: bool, may_pass: bool
) -> None:
    assert machine.is_of_the_machine(error) == is_of_the_machine
    assert machine.may_pass(error) == may_pass
    assert "\n" not in machine.sentence(error)
    assert not is_of_the_machine or "Jane Doe" not in machine.sentence(error)
    assert len(machine.sentence(error)) > 5


def test_the_cause_at_the_bottom_is_what_is_said() -> None:
    try:
        try:
            raise OSError(28, "No space left on device", "/data/x")
        except OSError as error:
            raise RuntimeError("a step failed") from error
    except RuntimeError as error:
        said = machine.sentence(error)
    assert said == "The disk is full, or may not be used further: No space left on device: /data/x"


def materialize(errors: list[Exception], monkeypatch: pytest.MonkeyPatch) -> tuple[bool, int]:
    """Whether an asset that meets these errors one after the other succeeds, and its tries."""
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)
    tries = 0

    @dg.asset
    def fragile(context: dg.AssetExecutionContext) -> None:
        nonlocal tries
        tries += 1
        with retries.passing_faults(context):
            if errors:
                raise errors.pop(0)

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([fragile], instance=instance, raise_on_error=False)
    return done.success, tries


def test_what_may_pass_is_tried_again_and_the_rest_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = duckdb.IOException("IO Error: Could not set lock on file")
    full = OSError(28, "No space left on device")
    assert materialize([lock, lock], monkeypatch) == (True, 3)
    assert materialize([lock] * 9, monkeypatch) == (False, 3)
    assert materialize([full], monkeypatch) == (False, 1)
    assert materialize([AccountingError("a defect")], monkeypatch) == (False, 1)
    assert materialize([dg.Failure("a bad file", allow_retries=False)], monkeypatch) == (False, 1)


@pytest.mark.parametrize(
    "tables",
    [("survey_scores", "survey_responses"), ("onboarding_milestones", "onboarding_throughput")],
)
def test_derived_tables_try_again_too(
    tables: tuple[str, str], manifest: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_project.definitions import definitions

    assert manifest
    tries = list[int]()

    def locked(*_: object) -> None:
        tries.append(1)
        raise duckdb.IOException("IO Error: Could not set lock on file")

    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(warehouse, "read", locked)
    job = definitions().resolve_job_def("build_and_publish")
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(
            asset_selection=[dg.AssetKey(["derived", name]) for name in tables],
            instance=instance,
            raise_on_error=False,
        )
    assert not done.success
    assert len(tries) == 3


def test_a_build_that_broke_off_is_asked_for_again_and_one_that_failed_is_not(
    tmp_path: Path, manifest: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_project import definitions  # noqa: F401 - what the daemon loads
    from dagster_project.defs import sensors

    assert manifest
    chosen = dataclasses.replace(settings.current(), data_dir=tmp_path)
    monkeypatch.setattr(sensors, "_settings", chosen)
    monkeypatch.setattr(sensors, "_lake", Lake(tmp_path))
    monkeypatch.setattr(state, "raw_state", lambda _: "what is in raw")
    errors: list[BaseException] = []

    @dg.asset
    def step(context: dg.AssetExecutionContext) -> None:
        with retries.passing_faults(context):
            raise errors.pop()

    job = dg.Definitions([step]).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:

        def asked() -> dg.RunRequest:
            request = sensors.raw_changed(dg.build_sensor_context(instance))
            assert isinstance(request, dg.RunRequest), request
            return request

        first = asked()
        started = dg.DagsterRunStatus.STARTED
        instance.create_run_for_job(job, tags=dict(first.tags), status=started)
        close_dead_runs(instance, first.tags)
        second = asked()
        errors.append(OSError(28, "No space left on device"))
        job.execute_in_process(instance=instance, tags=second.tags, raise_on_error=False)
        # The same disk is not filled every half minute.
        waits = sensors.raw_changed(dg.build_sensor_context(instance))
        assert isinstance(waits, dg.SkipReason)
        monkeypatch.setattr(sensors, "FIRST_PAUSE", 0)
        third = asked()
        # As a signal ends it.
        errors.append(dg.DagsterExecutionInterruptedError())
        with suppress(dg.DagsterExecutionInterruptedError):
            job.execute_in_process(instance=instance, tags=third.tags, raise_on_error=False)
        fourth = asked()
        assert len({it.run_key for it in (first, second, third, fourth)}) == 4
        errors.append(dg.Failure("Not published: no pass of a check."))
        job.execute_in_process(instance=instance, tags=fourth.tags, raise_on_error=False)
        assert asked().run_key == fourth.run_key  # which Dagster has seen
        monkeypatch.setattr(state, "lost_days", lambda _: {"crm/accounts": [date(2024, 1, 5)]})
        fifth = asked()
        assert fifth.run_key != fourth.run_key
        monkeypatch.setattr(state, "code_state", lambda _: "mended")
        assert asked().run_key not in (fourth.run_key, fifth.run_key)


FULL = """
import resource, runpy, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.argv[1:] = ["run"]
runpy.run_module("dagster_project", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("limit", [10, 60_000])
def test_a_disk_that_takes_no_more_ends_the_run_with_a_sentence(tmp_path: Path, limit: int) -> None:
    samples.generate(tmp_path / "landing", accounts=1, days=1, events_per_account=1)
    run = subprocess.run(
        [sys.executable, "-c", FULL.format(limit=limit)],
        cwd=CHECKOUT,
        env=os.environ | {"DATA_DIR": str(tmp_path), "SYSTEMS": "crm"},
        capture_output=True,
        text=True,
    )
    said = run.stdout + run.stderr
    assert run.returncode == 1, said
    assert "The disk is full, or may not be used further" in said
    assert "Traceback" not in said
    assert not (tmp_path / "published").exists()


def test_a_data_folder_that_may_not_be_written_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    samples.generate(tmp_path / "landing", accounts=1, days=1, events_per_account=1)
    # A file where a folder is to be: the same to the program as a folder that is read-only, and so
    # also to root, whom no permission stops.
    (tmp_path / ".lock").mkdir()
    run = run_program(tmp_path)
    assert run.returncode == 1
    assert run.stdout.count("\n") == 1
    assert "Is a directory" in run.stdout


ENDLESS = """
import sys, time
from pathlib import Path
import dagster as dg
from dagster_project.__main__ import end_when_told_to
from dagster_project.core.lock import exclusive

@dg.asset
def endless():
    print("at work", flush=True)
    time.sleep(60)

end_when_told_to()
with exclusive(Path(sys.argv[1]), on_wait=print), dg.DagsterInstance.ephemeral() as instance:
    dg.materialize([endless], instance=instance, raise_on_error=False)
print("went on")
"""


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_who_is_told_to_stop_within_a_step_ends_as_if_killed_and_says_so(
    tmp_path: Path, told: signal.Signals
) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(tmp_path / "lock")],
        cwd=CHECKOUT,
        env=os.environ | {"DATA_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.stdout
    said = ""
    while "at work" not in said and run.poll() is None:
        said = run.stdout.readline()
    run.send_signal(told)
    said, _ = run.communicate(timeout=10)
    assert run.returncode == 128 + told, said
    assert "Stopped before the end; the next run does what is not done." in said
    assert "went on" not in said
    assert holder(tmp_path / "lock").was_killed


def test_a_run_that_is_terminated_holds_the_lock_while_dbt_goes_on(
    tmp_path: Path, manifest: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_project import dbt_runner
    from dagster_project.defs import resources

    assert manifest
    is_over = threading.Event()

    def build_slowly(_: object, __: object, results: SimpleQueue[dict[str, str]]) -> None:
        results.put({})
        is_over.wait(60)

    @dg.asset(required_resource_keys={"lock"})
    def dbt_models() -> None:
        for _ in dbt_runner.build("{}", tmp_path, []):
            raise KeyboardInterrupt

    chosen = dataclasses.replace(settings.current(), data_dir=tmp_path)
    monkeypatch.setattr(resources, "_settings", chosen)
    monkeypatch.setattr(dbt_runner, "parsed", lambda *_: None)
    monkeypatch.setattr(dbt_runner, "_invoke", build_slowly)
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize(
            [dbt_models],
            instance=instance,
            resources={"lock": resources.DataDirLock()},
            raise_on_error=False,
        )
    assert holder(tmp_path / ".lock").is_held
    is_over.set()
