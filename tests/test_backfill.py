"""A backfill extracts exactly the days chosen, again; what is asked for in vain is said.

What becomes of the marts is told in test_order_of_days.py, backfills from the UI in backfills.py.
"""

import io
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.partition_status_cache import AssetPartitionStatus
from program import land
from rows import order

from dagster_project import __main__ as program
from dagster_project import retries, settings, state
from dagster_project.core import extraction
from dagster_project.core.exports import Export
from dagster_project.core.lake import Lake, put
from dagster_project.core.ledger import Extraction

ORDERS = dg.AssetKey(["orders", "orders"])
DAYS = [date(2024, 1, 5), date(2024, 1, 6), date(2024, 1, 7)]
SHORT_OF = date(2024, 1, 4)


@pytest.fixture
def lake(manifest: Mapping[str, Any]) -> Iterator[Lake]:
    """The data folder that the declarations of this process were made for."""
    assert manifest
    lake = Lake(settings.current().data_dir)
    yield lake
    for folder in ("landing", "raw"):
        shutil.rmtree(lake.root / folder, ignore_errors=True)


def orders(lake: Lake, day: date, amount: int) -> Path:
    rows = [order(f"O{day}", day, amount_minor=amount)]
    path = land(lake.root, "orders/orders", day, rows, "jsonl.gz")
    os.utime(path, (0, amount))
    return path


def extract(
    instance: dg.DagsterInstance, first: date | None = None, last: date | None = None
) -> tuple[list[str], str]:
    """The days that a run extracts, without or with chosen ones, and what the program says."""
    from dagster_project.definitions import definitions
    from dagster_project.night import Backfill, Report

    said, run_id = io.StringIO(), str(uuid.uuid4())
    instance.add_event_listener(run_id, Report(said).hear)
    run = (
        definitions()
        .resolve_job_def("extract")
        .execute_in_process(
            asset_selection=[ORDERS],
            instance=instance,
            run_id=run_id,
            tags=Backfill(first, last, ["orders/orders"]).tags if first and last else {},
            raise_on_error=False,
        )
    )
    done = run.filter_events(lambda event: event.is_step_materialization)
    return [str(event.partition) for event in done], said.getvalue()


def red_days(instance: dg.DagsterInstance) -> list[str]:
    from dagster_project.partitions import landing_days

    days = [str(day) for day in (SHORT_OF, *DAYS)]
    status = instance.get_status_by_partition(ORDERS, days, landing_days) or {}
    return [day for day in days if status.get(day) == AssetPartitionStatus.FAILED]


def test_a_day_that_failed_before_the_step_was_tried_again_is_told(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders(lake, DAYS[0], 100).write_bytes(b"nonsense")
    orders(lake, DAYS[1], 100)
    extract_day, faults = extraction.Extractor.extract_day, [OSError(5, "Input/output error")]

    def broken_once(self: extraction.Extractor, export: Export, day: date) -> Extraction:
        if day == DAYS[1] and faults:
            raise faults.pop()
        return extract_day(self, export, day)

    monkeypatch.setattr(extraction.Extractor, "extract_day", broken_once)
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)
    with dg.DagsterInstance.ephemeral() as instance:
        days, said = extract(instance)
        assert (days, faults) == ([str(DAYS[1])], [])
        assert f"FAILED: {DAYS[0]}: " in said
        assert red_days(instance) == [str(DAYS[0])]

        faults.append(OSError(5, "Input/output error"))
        orders(lake, DAYS[0], 100)
        days, _ = extract(instance, DAYS[0], DAYS[1])
        assert (days, faults) == ([str(DAYS[0]), str(DAYS[1])], [])
        assert red_days(instance) == []


def test_a_day_that_breaks_off_holds_up_no_other(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders(lake, DAYS[0], 100).write_bytes(b"nonsense")
    orders(lake, DAYS[1], 100)
    orders(lake, DAYS[2], 100)
    extract_day = extraction.Extractor.extract_day

    def full(self: extraction.Extractor, export: Export, day: date) -> Extraction:
        if day == DAYS[1]:
            raise OSError(28, "No space left on device")
        return extract_day(self, export, day)

    with dg.DagsterInstance.ephemeral() as instance:
        with monkeypatch.context() as patch:
            patch.setattr(extraction.Extractor, "extract_day", full)
            days, said = extract(instance)
        assert days == [str(DAYS[2])]
        assert "FAILED: The disk is full" in said
        assert red_days(instance) == [str(DAYS[0]), str(DAYS[1])]
        assert extract(instance)[0] == [str(DAYS[1])]
        assert red_days(instance) == [str(DAYS[0])]


def test_days_that_broke_off_come_last_the_next_time(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in DAYS:
        orders(lake, day, 100)

    def full(file: Path, target: Path) -> None:
        if any(str(day) in str(target) for day in DAYS[:2]):
            raise OSError(28, "No space left on device")
        put(file, target)

    with dg.DagsterInstance.ephemeral() as instance:
        with monkeypatch.context() as patch:
            patch.setattr(extraction, "put", full)
            assert extract(instance)[0] == []
            assert extract(instance)[0] == [str(DAYS[2])]
            orders(lake, SHORT_OF, 100)
            orders(lake, DAYS[2], 200)
            assert extract(instance)[0] == [str(SHORT_OF), str(DAYS[2])]
        assert extract(instance)[0] == [str(day) for day in DAYS[:2]]


def test_a_backfill_extracts_the_days_chosen_again_and_says_what_it_could_not(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (str(day) for day in DAYS)
    with dg.DagsterInstance.ephemeral() as instance:
        orders(lake, DAYS[0], 100)
        file = orders(lake, DAYS[1], 100)
        assert extract(instance)[0] == [first, second]
        orders(lake, DAYS[2], 100)
        again, said = extract(instance, SHORT_OF, DAYS[1])
        assert again == [first, second]
        assert f"Nothing has landed for {SHORT_OF}." in said

        file.write_bytes(file.read_bytes()[:20])
        os.utime(file, (0, 0))
        again, said = extract(instance, SHORT_OF, DAYS[2])
        assert again == [first, third]
        assert f"FAILED: {second}: {second}.jsonl.gz: truncated gzip" in said
        assert red_days(instance) == [second]

        file = orders(lake, DAYS[1], 200)
        os.utime(file)
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", lambda _: orders(lake, DAYS[1], 300))
            again, said = extract(instance, DAYS[0], DAYS[1])
        assert again == [first]
        assert f"Left to the next run, being written still: {second}." in said
        assert extract(instance)[0] == [second]
        assert red_days(instance) == []


def test_a_step_that_breaks_off_makes_its_export_stale(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/data/raw/orders")

    with dg.DagsterInstance.ephemeral() as instance, monkeypatch.context() as patch:
        orders(lake, DAYS[0], 100)
        assert extract(instance)[0] == [str(DAYS[0])]
        orders(lake, DAYS[1], 100)
        patch.setattr(extraction, "put", forbidden)
        done, said = extract(instance)
    assert done == []
    assert "FAILED: This may not be written or read: Permission denied" in said
    # What hold, the exit status and the notices go by.
    [stale] = state.stale_exports(settings.current())
    assert stale.sentence == (
        "orders/orders is stale: 2024-01-06 failed: This may not be written or read"
    )
    assert state.new_days(settings.current()) == {"orders/orders": [DAYS[1]]}


def test_a_file_that_is_gone_before_it_is_read_is_left_to_the_next_run(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _, third = (orders(lake, day, 100) for day in DAYS)
    extract_day = extraction.Extractor.extract_day

    def vanish(extractor: extraction.Extractor, export: Export, day: date) -> Extraction:
        third.unlink(missing_ok=True)
        if day == DAYS[0]:
            first.unlink()
        return extract_day(extractor, export, day)

    monkeypatch.setattr(extraction.Extractor, "extract_day", vanish)
    with dg.DagsterInstance.ephemeral() as instance:
        done, said = extract(instance, DAYS[0], DAYS[2])
        assert done == [str(DAYS[1])]
        assert "FAILED" not in said
        for day in (DAYS[0], DAYS[2]):
            assert f"Left to the next run, gone since it was listed: {day}." in said
        assert red_days(instance) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--from 2024-02-02 --to 2024-02-01", "not from 2024-02-02 to 2024-02-01."),
        ("--from 2019-12-31 --to 2024-02-01", "between 2020-01-01 (first_day)"),
        ("--from 2024-02-02 --to 9999-01-01", "(today)"),
        (
            "--from 2024-02-02 --to 2024-02-02 --exports crm/users,crm/loosers",
            "No export of the systems that are on is crm/loosers; ",
        ),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused_in_a_sentence(
    options: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["dagster_project", "backfill", *options.split()])
    assert program.main() == program.UNUSABLE
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_day_that_is_no_date_is_refused_with_the_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["dagster_project", "backfill", "--from", "", "--to", "x"])
    with pytest.raises(SystemExit) as refused:
        program.main()
    assert refused.value.code == program.UNUSABLE
    assert "argument --from" in capsys.readouterr().err
