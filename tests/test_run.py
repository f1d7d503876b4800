"""The program from end to end: one data folder through nights good and bad, told as a story.

Each night is a process of its own, as `make run` starts it; the tests read what it said, its exit
status and what analysts find in published/. What the numbers mean is tested elsewhere.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from test_privacy import PERSONAL, tagged

from dagster_project import __main__ as program
from dagster_project import night as night_of_jobs
from dagster_project import settings
from dagster_project.core import samples
from dagster_project.core.lake import Lake
from dagster_project.core.lock import exclusive, holder
from dagster_project.core.samples import delivery
from dagster_project.manifest import grains
from dagster_project.settings import CHECKOUT

BROKEN = Path("landing/crm/users/2025-06-30.csv.gz")
# Stands in every value of a personal column, and nowhere else.
MARKER = "personal~"
PRIVACY = "publish_comments: none, publish_names: all"
HEAVY = {"dagster", "dagster_dbt", "dbt", "duckdb", "polars"}
# What `python -m dagster_project run` does, and the modules that it took.
RUN = (
    "import os, runpy, sys\n"
    "sys.argv[1:] = ['run']\n"
    "end = os._exit\n"
    "def told(status):\n"
    "    print('modules', *sys.modules, file=sys.stderr, flush=True)\n"
    "    end(status)\n"
    "os._exit = told\n"
    "runpy.run_module('dagster_project', run_name='__main__', alter_sys=True)\n"
)


@dataclass(frozen=True)
class Night:
    """One run of the program and what it left behind."""

    status: int
    said: str
    errors: str
    release: str | None
    marts: dict[str, list[tuple[Any, ...]]]
    personal: set[tuple[str, str]]  # (mart, column) in which something of a personal column stands

    @property
    def last_line(self) -> str:
        return self.said.rstrip().rpartition("\n")[2]


def start(data: Path, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN],
        cwd=CHECKOUT,
        env={**os.environ, "DATA_DIR": str(data), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def night(data: Path, **variables: str) -> Night:
    return ended(data, start(data, **variables))


def ended(data: Path, process: subprocess.Popen[str]) -> Night:
    said, errors = process.communicate(timeout=600)
    marts, personal = {}, set()
    if (database := data / "published" / "marts.duckdb").exists():
        with duckdb.connect(str(database), read_only=True) as db:
            for mart in ("mart_export_quality", "mart_policies", "mart_mrr_bridge", "release"):
                marts[mart] = db.execute(f"from {mart} order by all").fetchall()
            personal = {
                (mart, column)
                for mart, column in db.execute(
                    "select table_name, column_name from information_schema.columns"
                ).fetchall()
                if db.execute(
                    f'from {mart} where contains("{column}"::varchar, ?) limit 1', [MARKER]
                ).fetchall()
            }
    release = marts["release"][0][0] if marts else None
    return Night(process.returncode, said, errors, release, marts, personal)


def files(data: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in data.rglob("*")}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, manifest: Mapping[str, Any]) -> Path:
    # A space, because paths end up in SQL, YAML and command lines.
    folder = tmp_path_factory.mktemp("night") / "the data"
    columns = {
        f"{source['source_name']}/{source['name']}": tagged(source)
        for source in manifest["sources"].values()
    }
    write_file = delivery.write_file

    def write_marked(path: Path, *tables: pl.DataFrame) -> None:
        system, export, *_ = path.relative_to(folder / "landing").parts
        write_file(path, *(marked(table, columns[f"{system}/{export}"]) for table in tables))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "write_file", write_marked)
        samples.generate(folder / "landing", accounts=40, days=3, events_per_account=60)
    for file in folder.glob("landing/product/events/*/*.parquet"):
        marked(pl.read_parquet(file), columns["product/events"]).write_parquet(file)
    return folder


def marked(table: pl.DataFrame, personal: set[str]) -> pl.DataFrame:
    """The table with a word before all that a personal column says; keys still join."""
    return table.with_columns((pl.lit(MARKER) + pl.col(name)).alias(name) for name in personal)


@pytest.fixture(scope="module")
def story(data: Path) -> Iterator[dict[str, Any]]:
    """Every night in turn; each starts from what the one before left."""
    nights: dict[str, Any] = {}

    killed = start(data)
    assert killed.stdout is not None
    for line in killed.stdout:
        if line.startswith("build_and_publish"):
            killed.send_signal(signal.SIGKILL)
            break
    nights["killed"] = ended(data, killed)
    nights["first"] = night(data)

    before = files(data)
    nights["idle"] = night(data)
    nights["idle changed"] = {*files(data).items()} ^ {*before.items()}

    with exclusive(data / ".lock", on_wait=pytest.fail):
        waiting = start(data, VARS=f"{{trial_policy: include, {PRIVACY}}}")
        assert waiting.stdout is not None
        nights["waited for"] = waiting.stdout.readline()
    nights["policy"] = ended(data, waiting)

    intact = (data / BROKEN).read_bytes()
    (data / BROKEN).write_bytes(intact[: len(intact) // 2])
    nights["stale"] = night(data)
    nights["still stale"] = night(data)
    nights["held"] = night(data, VARS="{on_failed_export: hold}")

    (data / BROKEN).write_bytes(intact)
    nights["unchecked"] = night(data, SYSTEMS="billing")
    nights["repaired"] = night(data)
    yield nights
    shutil.rmtree(data)


def test_a_killed_night_published_nothing_and_blocks_nobody(story: dict[str, Any]) -> None:
    assert story["killed"].status == -signal.SIGKILL
    assert story["killed"].release is None
    assert story["first"].status == 0, story["first"].said


def test_the_first_night_publishes_and_says_what_it_did(story: dict[str, Any]) -> None:
    first = story["first"]
    assert re.search(
        r"[1-9]\d* tables built; [1-9]\d* checks passed, \d+ warned, 0 failed", first.said
    )
    assert first.last_line.endswith("published/marts.duckdb")
    arrived = {row[:2] for row in first.marts["mart_export_quality"] if row[3] == "ok"}
    assert ("crm", "accounts") in arrived
    assert len(arrived) == 15
    assert first.marts["mart_mrr_bridge"]


def test_what_was_extracted_stands_in_one_table(story: dict[str, Any]) -> None:
    heads = r"^export +rows_in +rows_accepted +rows_rejected +rows_superseded +days$"
    row = r"^crm/users +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) +2025-06-30$"
    repaired = story["repaired"].said
    assert len(re.findall(heads, repaired, re.M)) == 1
    [counts] = re.findall(row, repaired, re.M)
    rows_in, *parts = (int(count.replace(",", "")) for count in counts)
    assert rows_in == sum(parts) > 0
    assert not re.findall(heads, story["stale"].said, re.M)


def test_a_night_with_nothing_new_takes_moments_and_changes_nothing(story: dict[str, Any]) -> None:
    idle = story["idle"]
    assert idle.status == 0
    assert idle.said.count("\n") == 1
    assert story["idle changed"] == set()
    modules = set(idle.errors.partition("modules ")[2].split())
    assert "dagster_project.state" in modules
    assert not modules & HEAVY


def test_a_second_run_waits_for_the_first_and_says_for_whom(story: dict[str, Any]) -> None:
    assert f"process {os.getpid()}, since" in story["waited for"]
    assert story["policy"].status == 0


def test_a_changed_policy_is_new_and_reaches_the_marts(story: dict[str, Any]) -> None:
    policy = story["policy"]
    assert policy.release != story["first"].release
    assert "extract\n" not in policy.said
    in_force = {row[0]: row[1] for row in policy.marts["mart_policies"]}
    assert in_force["trial_policy"] == "include"
    assert in_force["active_events"] is None
    assert {row[0]: row[1] for row in story["first"].marts["mart_policies"]} == {
        **in_force,
        "trial_policy": "exclude",
        "publish_comments": "all",
        "publish_names": "none",
    }


def test_personal_data_is_published_where_a_policy_says_so_and_nowhere_else(
    story: dict[str, Any],
) -> None:
    by_policy = {
        policy: {column for column, its in PERSONAL.items() if its == policy}
        for policy in PERSONAL.values()
    }
    assert story["first"].personal == by_policy["publish_comments"]
    assert story["policy"].personal == by_policy["publish_names"]
    assert story["repaired"].personal == by_policy["publish_comments"]


def test_personal_data_is_in_no_log_and_only_where_nobody_else_may_read(
    story: dict[str, Any], data: Path
) -> None:
    assert story["repaired"].status == 0
    nights = [night for night in story.values() if isinstance(night, Night)]
    assert not any(MARKER in night.said + night.errors for night in nights)
    holding = {
        path.relative_to(data).parts[0]
        for path in data.rglob("*")
        if path.is_file() and (MARKER.encode() in path.read_bytes())
    }
    assert holding <= {"landing", "raw", "rejects", "warehouse.duckdb", "published"}
    for name in ("raw", "rejects", "warehouse.duckdb"):
        assert (data / name).stat().st_mode & 0o077 == 0


def test_a_failed_export_is_published_stale_and_named_last(story: dict[str, Any]) -> None:
    stale = story["stale"]
    assert stale.status == 3
    assert stale.last_line.startswith("crm/users is stale: 2025-06-30 failed: 2025-06-30.csv.gz")
    assert stale.release not in (None, story["policy"].release)
    of_users = {
        row[2].isoformat(): row[3]
        for row in stale.marts["mart_export_quality"]
        if row[1] == "users"
    }
    assert of_users == {"2025-06-28": "ok", "2025-06-29": "ok", "2025-06-30": "stale"}
    assert stale.marts["mart_mrr_bridge"] == story["first"].marts["mart_mrr_bridge"]


def test_a_stale_export_is_named_every_night_until_it_is_repaired(story: dict[str, Any]) -> None:
    again = story["still stale"]
    assert (again.status, again.last_line) == (3, story["stale"].last_line)
    assert again.release == story["stale"].release
    assert story["repaired"].status == 0
    assert (
        story["repaired"].marts["mart_export_quality"]
        == story["first"].marts["mart_export_quality"]
    )


def test_hold_keeps_the_last_release(story: dict[str, Any]) -> None:
    held = story["held"]
    assert held.status == 1
    assert "because on_failed_export is hold: crm/users is stale" in held.said
    assert held.release == story["stale"].release


def test_a_failed_check_publishes_nothing_and_shows_the_rows(story: dict[str, Any]) -> None:
    unchecked = story["unchecked"]
    assert unchecked.status == 1
    assert re.search(
        r"^Check assert_accounts_export_has_arrived failed on .*:\n  \w+=", unchecked.said, re.M
    )
    assert unchecked.release == story["stale"].release


def test_every_column_that_is_documented_exists_and_the_other_way_round(
    story: dict[str, Any], data: Path, manifest: Mapping[str, Any]
) -> None:
    assert story["repaired"].status == 0
    documented = {
        (node["name"], column): bool(described["description"])
        for node in manifest["nodes"].values()
        if node["resource_type"] in ("model", "seed")
        for column, described in node["columns"].items()
    }
    with duckdb.connect(str(data / "warehouse.duckdb"), read_only=True) as warehouse:
        real = warehouse.execute(
            "select table_name, column_name from information_schema.columns"
            " where table_schema in ('seeds', 'staging', 'intermediate', 'marts')"
        ).fetchall()
    assert documented.keys() == set(real)
    assert all(documented.values())


def test_every_model_s_description_ends_with_its_grain_and_a_test_proves_it(
    manifest: Mapping[str, Any],
) -> None:
    proven = grains(manifest)
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] in ("model", "seed"):
            assert "one row" in node["description"].rpartition("; ")[2], unique_id
            assert node["name"] in proven, unique_id


@pytest.fixture
def first_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    """Settings of a first run: it gets few samples, and builds nothing."""
    few = partial(samples.generate, accounts=2, days=1, events_per_account=5)
    monkeypatch.setattr(samples, "generate", few)
    monkeypatch.setattr(night_of_jobs, "run", lambda _: [])
    monkeypatch.setattr(settings, "DEFAULT_DATA_DIR", tmp_path)
    return replace(settings.current(), data_dir=tmp_path)


def test_only_the_default_folder_gets_samples(
    first_run: settings.Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.run(first_run) == 0
    assert len(Lake(first_run.data_dir).landed_exports()) == 15
    assert capsys.readouterr().out.startswith("Nothing has landed yet: generating the sample")


@pytest.mark.parametrize("is_prepared", [False, True])
def test_samples_land_all_at_once(
    first_run: settings.Settings, monkeypatch: pytest.MonkeyPatch, is_prepared: bool
) -> None:
    moved, move = [], Path.replace

    def watched(path: Path, target: Path) -> Path:
        moved.append(target)
        return move(path, target)

    landing = first_run.data_dir / "landing"
    if is_prepared:
        landing.mkdir()
    monkeypatch.setattr(Path, "replace", watched)
    assert program.run(first_run) == 0
    assert moved == [landing]


def test_of_two_first_runs_at_once_the_later_takes_what_the_other_has_generated(
    first_run: settings.Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @contextmanager
    def after_another(path: Path, on_wait: Callable[[str], None]) -> Iterator[bool]:
        # Who held the lock is done when it is handed over.
        (first_run.data_dir / "landing" / "crm" / "users").mkdir(parents=True, exist_ok=True)
        with exclusive(path, on_wait) as is_after_a_kill:
            yield is_after_a_kill

    monkeypatch.setattr(program, "exclusive", after_another)
    assert program.run(first_run) == 0
    assert Lake(first_run.data_dir).landed_exports() == [("crm", "users")]
    assert "generating" not in capsys.readouterr().out


def test_a_landing_folder_that_somebody_has_begun_gets_no_samples(
    first_run: settings.Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = first_run.data_dir / "landing" / "crm"
    begun.mkdir(parents=True)
    assert program.run(first_run) == 0
    assert list(begun.parent.iterdir()) == [begun]
    assert capsys.readouterr().out == f"Nothing has landed in {begun.parent}.\n"


def test_after_a_kill_all_is_done_once_although_nothing_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Path] = []

    def publish(chosen: settings.Settings) -> list[str]:
        done.append(chosen.data_dir)
        return []

    monkeypatch.setattr(night_of_jobs, "run", publish)
    monkeypatch.setattr(program, "_is_up_to_date", lambda _: True)
    lake = Lake(tmp_path)
    lake.ledger.parent.mkdir()
    lake.ledger.touch()
    here = replace(settings.current(), data_dir=tmp_path)
    assert program.run(here) == 0
    assert done == []
    lake.lock.write_text("process 1, since yesterday")
    assert program.run(here) == 0
    assert program.run(here) == 0
    assert done == [tmp_path]


def test_who_does_not_heal_leaves_the_mark_of_a_kill(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    lock.write_text("process 1, since yesterday")
    for _ in range(2):
        with exclusive(lock, pytest.fail, heals=False) as is_after_a_kill:
            assert is_after_a_kill
    assert holder(lock) == (False, "process 1, since yesterday")
    with exclusive(lock, pytest.fail):
        pass
    assert holder(lock) == (False, "")


def test_an_empty_folder_gets_no_invented_data(tmp_path: Path) -> None:
    empty = night(tmp_path / "elsewhere")
    assert (empty.status, empty.said) == (
        0,
        f"Nothing has landed in {tmp_path / 'elsewhere' / 'landing'}.\n",
    )
    assert not (tmp_path / "elsewhere").exists()


def test_a_setting_that_makes_no_sense_is_refused_in_a_sentence(tmp_path: Path) -> None:
    refused = night(tmp_path, VARS="{trial_polic: include}")
    assert refused.status == 2
    assert refused.errors.startswith("VARS names trial_polic, which is no policy")
    assert refused.said == ""
