"""What make doctor says of a data folder with one thing wrong at a time; it changes nothing."""

import datetime as dt
import fcntl
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import duckdb
import pytest
from program import CHECKOUT, land
from rows import account, user

from dagster_project import doctor, settings, state
from dagster_project.core.exports import load_exports
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import Lake
from dagster_project.core.lock import exclusive
from dagster_project.core.publish import Release, publish

EXPORTS = load_exports(settings.STAGING_DIR)
USERS = EXPORTS["crm/users"]
DAYS = [dt.date(2024, 1, day) for day in (1, 2, 3)]
ROWS = [user("u", "a", is_champion="true", created_at="2024-01-01T00:00:00")]


@pytest.fixture
def chosen(tmp_path: Path) -> settings.Settings:
    """A folder in which all is well: three days of an export, extracted and published."""
    chosen = replace(settings.current(), data_dir=tmp_path)
    lake = Lake(tmp_path)
    for day in DAYS:
        land(tmp_path, "crm/users", day, ROWS)
    extract(chosen, *DAYS)
    with duckdb.connect(str(lake.warehouse)) as db:
        db.execute("create schema marts; create table marts.mart_a as select 1 as a")
    raw_state = state.raw_state(chosen)
    fingerprint = state.fingerprint(state.code_state(chosen), raw_state)
    release = Release("20240104T000000Z", DAYS[-1], fingerprint, raw_state)
    publish(lake.warehouse, lake.published, release, keep=2)
    return chosen


def extract(chosen: settings.Settings, *days: dt.date) -> None:
    with Extractor(Lake(chosen.data_dir), state.rules(chosen)) as extractor:
        for day in days:
            extractor.extract_day(USERS, day)


def files(root: Path) -> dict[str, tuple[int, int]]:
    return {str(it): (it.lstat().st_mtime_ns, it.lstat().st_size) for it in root.rglob("*")}


def wrong(chosen: settings.Settings, hashes: bool = False) -> list[str]:
    """What is said to be wrong; nothing may have changed for it."""
    said: list[str] = []
    before = files(chosen.data_dir)
    count = doctor.examine(chosen, said.append, hashes)
    assert files(chosen.data_dir) == before
    found = [line.removeprefix("WRONG  ") for line in said if line.startswith("WRONG")]
    assert len(found) == count
    return found


def test_nothing_is_wrong_where_all_is_well(chosen: settings.Settings) -> None:
    assert wrong(chosen, hashes=True) == []


def test_nothing_is_wrong_where_nothing_ever_happened(tmp_path: Path) -> None:
    assert wrong(replace(settings.current(), data_dir=tmp_path), hashes=True) == []


def test_a_folder_that_is_none_is_no_folder_where_nothing_ever_happened(tmp_path: Path) -> None:
    for where in (tmp_path / "misspelt", tmp_path / "file"):
        (tmp_path / "file").touch()
        assert wrong(replace(settings.current(), data_dir=where)) == [
            f"{where} is no folder: nothing has landed in it, and nothing will be found."
        ]


def test_an_as_of_day_that_lies_ahead_is_told(chosen: settings.Settings) -> None:
    ahead = state.today(chosen) + dt.timedelta(2)
    accounts = EXPORTS["crm/accounts"]
    land(chosen.data_dir, "crm/accounts", ahead, [account("a")])
    with Extractor(Lake(chosen.data_dir), state.rules(chosen)) as extractor:
        assert extractor.extract_day(accounts, ahead).is_ok
    assert wrong(chosen) == [
        f"The as-of day is {ahead}, which is yet to come: an accounts export has landed for it."
        " The policy as_of holds the marts to a day before.",
        "What is published is older than what is in raw; the next run builds it.",
    ]
    held = replace(chosen, policies={**chosen.policies, "as_of": "2024-01-03"})
    assert not [it for it in wrong(held) if "yet to come" in it]


def test_what_the_machine_does_not_let_it_see_is_told(
    chosen: settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: settings.Settings) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(state, "lost_days", fails)
    assert wrong(chosen) == [
        "Whether this holds cannot be told: Raw holds what the marts need."
        " unable to open database file"
    ]


def land_wrongly(root: Path) -> None:
    (root / "landing/crm/users/notes.txt").write_text("x")
    (root / "landing/crm/users.csv").write_text("x")
    (root / "landing/2024-01-04.csv").write_text("x")
    (root / "landing/crm/prospects").mkdir()


def break_the_release(root: Path) -> None:
    (root / "published/parquet/mart_a.parquet").unlink()


def leave_unfinished_work(root: Path) -> None:
    (root / ".tmp/extraction").mkdir(parents=True)
    (root / "published/releases/x.partial").mkdir()


def lose_a_raw_day(root: Path) -> None:
    Lake(root).raw_day("crm", "users", DAYS[-1]).unlink()


def lead_nowhere(root: Path) -> None:
    (root / "landing").rename(root / "landed")
    (root / "landing").symlink_to("elsewhere")


def damage_the_warehouse(root: Path) -> None:
    os.truncate(root / "warehouse.duckdb", 5000)


def be_killed(root: Path) -> None:
    (root / ".lock").write_text("process 1, since yesterday: make run\n")


@pytest.mark.parametrize(
    ("harm", "sentences"),
    [
        (
            land_wrongly,
            [
                "landing/2024-01-04.csv lies in no folder landing/system/export, and is never"
                " read.",
                "landing/crm/users.csv lies in no folder landing/system/export, and is never read.",
                "landing/crm/prospects is no export that a contract declares, and is never read.",
                "landing/crm/users/notes.txt is nothing of a landing day, and is never read.",
            ],
        ),
        (
            break_the_release,
            ["published/parquet/: mart_a has no rows instead of 1."],
        ),
        (
            leave_unfinished_work,
            [
                ".tmp/extraction was left unfinished; the next run removes it.",
                "published/releases/x.partial was left unfinished; the next run removes it.",
            ],
        ),
        (
            lose_a_raw_day,
            [
                "crm/users: raw has lost 2024-01-03, so nothing is published: the next run extracts"
                " it again if its files are in landing."
            ],
        ),
        (lead_nowhere, ["landing leads to elsewhere, which is not there."]),
        (
            damage_the_warehouse,
            ["warehouse.duckdb cannot be opened; the next run builds it anew: "],
        ),
        (
            be_killed,
            [
                "The last run was killed (process 1, since yesterday: make run); the next one takes"
                " over and heals what it left."
            ],
        ),
    ],
)
def test_what_is_wrong_is_said_in_words(
    chosen: settings.Settings, harm: Any, sentences: list[str]
) -> None:
    harm(chosen.data_dir)
    # What follows is DuckDB's to say.
    said = [re.sub("(builds it anew: ).*", r"\1", sentence) for sentence in wrong(chosen)]
    assert said == sentences


def test_missing_failed_and_unpublished_days_are_named(chosen: settings.Settings) -> None:
    day = dt.date(2024, 1, 6)
    bad = [*ROWS, *({**ROWS[0], "user_id": f"u{n}", "created_at": "soon"} for n in range(4))]
    land(chosen.data_dir, "crm/users", day, bad)
    assert wrong(chosen) == []  # to be extracted: a note
    extract(chosen, day)
    assert wrong(chosen) == [
        "crm/users has not landed for 2024-01-04..2024-01-05.",
        "crm/users is stale: 2024-01-06 failed: 4 of 5 rows were rejected, more than the allowed"
        " share of 0.1; most often not_a_timestamp: created_at (4 rows)",
        "What is published is older than what is in raw; the next run builds it.",
    ]


def test_a_column_that_no_contract_knows_is_named_whole(chosen: settings.Settings) -> None:
    land(chosen.data_dir, "crm/users", DAYS[-1], [{**ROWS[0], "seats, bought": 1, "plan": "pro"}])
    extract(chosen, DAYS[-1])
    said: list[str] = []
    doctor.examine(chosen, said.append)
    note = "note   crm/users: has columns that the contract does not know: plan, seats, bought."
    assert note in said


def test_a_damaged_release_is_told(chosen: settings.Settings) -> None:
    (chosen.data_dir / "published" / "current" / "release.json").write_text('{"release_id": ')
    assert wrong(chosen) == [
        "published/current/release.json cannot be read; the next run publishes anew."
    ]


def test_days_between_are_no_gaps_of_an_export_that_comes_more_rarely(
    chosen: settings.Settings,
) -> None:
    day = dt.date(2024, 1, 6)
    land(chosen.data_dir, "crm/users", day, ROWS)
    extract(chosen, day)
    weekly = replace(chosen.exports["crm/users"], late_after_hours=200)
    chosen.__dict__["exports"] = {**chosen.exports, "crm/users": weekly}
    said: list[str] = []
    doctor.examine(chosen, said.append, False)
    [gap] = [line for line in said if "has not landed for 2024-01-04..2024-01-05." in line]
    assert not gap.startswith("WRONG")


def test_a_file_that_changed_behind_its_stat_is_found_by_its_hash(
    chosen: settings.Settings,
) -> None:
    file = chosen.data_dir / f"landing/crm/users/{DAYS[1]}.csv"
    stat = file.stat()
    file.write_text(file.read_text().replace("u,a", "v,a"))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert wrong(chosen) == []
    assert wrong(chosen, hashes=True) == [
        "crm/users: the files of 2024-01-02 are not those that were extracted, though their size,"
        " time and inode are; touch them, and the next run reads them again."
    ]
    file.touch()
    assert state.new_days(chosen) == {"crm/users": [DAYS[1]]}


def test_a_touched_file_is_looked_at_and_not_recorded(chosen: settings.Settings) -> None:
    (chosen.data_dir / f"landing/crm/users/{DAYS[1]}.csv").touch()
    assert wrong(chosen, hashes=True) == []  # and the ledger is as it was


@pytest.fixture
def locked(chosen: settings.Settings) -> Iterator[Path]:
    lock = chosen.data_dir / ".lock"
    with exclusive(lock, on_wait=print):
        yield lock


def test_who_works_is_told_and_is_no_fault(chosen: settings.Settings, locked: Path) -> None:
    said: list[str] = []
    assert doctor.examine(chosen, said.append) == 0
    assert any(line.startswith("note   Somebody is working") for line in said)
    assert str(os.getpid()) in "".join(said)
    locked.write_text("process 4194305, since yesterday: make run\n")  # beyond any process id
    assert wrong(chosen) == [
        "The lock is held, but not by a process of this machine that still runs (process 4194305,"
        " since yesterday: make run)."
    ]


def test_looking_at_the_lock_does_not_keep_it(chosen: settings.Settings) -> None:
    wrong(chosen)
    with (chosen.data_dir / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_run_whose_process_is_gone_is_named(
    chosen: settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.job
    def extract() -> None: ...

    chosen.dagster_home.mkdir()
    with dg.DagsterInstance.from_config(str(chosen.dagster_home)) as instance:
        run = instance.create_run_for_job(extract, status=dg.DagsterRunStatus.STARTED)
    said: list[str] = []
    assert doctor.examine(chosen, said.append) == 0  # it may be just starting
    monkeypatch.setattr(doctor, "JUST_STARTED", -60)
    assert doctor.examine(chosen, said.append) == 1
    assert any(f"Run {run.run_id[:8]} (extract) counts as under way" in line for line in said)


def test_a_full_disk_and_other_versions_are_named(
    chosen: settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = metadata.version
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    monkeypatch.setattr(platform, "python_version", lambda: "3.12.1")
    monkeypatch.setattr(
        metadata, "version", lambda name: "0.1" if name == "duckdb" else versions(name)
    )
    python, duckdb_version, disk = wrong(chosen)
    assert python == "Python is 3.12.1, and the project wants >=3.11,<3.12."
    assert duckdb_version.startswith("duckdb is 0.1, and requirements.lock pins ")
    assert disk.startswith("The disk is almost full: 0.0 GB are free, and a build may need 0.0 GB")


def test_the_exit_status_says_whether_anything_is_wrong(chosen: settings.Settings) -> None:
    def status(*options: str) -> int:
        return subprocess.run(
            [sys.executable, "-m", "dagster_project", "doctor", *options],
            cwd=CHECKOUT,
            env=os.environ | {"DATA_DIR": str(chosen.data_dir)},
            capture_output=True,
        ).returncode

    assert status("--hash") == 0
    break_the_release(chosen.data_dir)
    assert status() == 1
