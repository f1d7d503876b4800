"""What a release promises analysts: whole, switched at once, readable by 1.x clients."""

import datetime as dt
import fcntl
import struct
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import readers

from dagster_project.core import publish as publishing
from dagster_project.core import warehouse as warehouses
from dagster_project.core.engine import engine
from dagster_project.core.lake import Lake
from dagster_project.core.lock import exclusive, holder
from dagster_project.core.publish import Release, current_release, publish

WITHIN = (
    "select current_setting('memory_limit') as memory, current_setting('temp_directory') as dir"
)

ENGINE = engine("1GB", Path("/tmp"))


def release(number: int) -> Release:
    return Release(f"2024010{number}T000000Z", dt.date(2024, 1, number), f"code {number}", "raw")


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute("create schema marts; create schema intermediate")
        db.execute("create table marts.mart_b as select 3 - range as id, 'x' as text from range(3)")
        db.execute("create table marts.mart_a (mrr_usd decimal(18, 6))")
        db.execute("create table intermediate.int_secret as select 1 as id")
    return path


def rows(published: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(published / "marts.duckdb"), read_only=True) as db:
        return db.execute(query).fetchall()


def test_a_release_holds_every_mart_sorted_and_nothing_else(
    tmp_path: Path, warehouse: Path
) -> None:
    published = tmp_path / "published"
    assert publish(warehouse, published, release(1), keep=7) == {"mart_a": 0, "mart_b": 3}
    tables = rows(published, "select schema_name, table_name from duckdb_tables() order by all")
    assert tables == [("main", name) for name in ("mart_a", "mart_b", "mart_status", "release")]
    assert rows(published, "from mart_status") == [("mart_a", 0, "no_data"), ("mart_b", 3, "ok")]
    assert rows(published, "from mart_b") == [(1, "x"), (2, "x"), (3, "x")]
    parquet = {path.name for path in (published / "parquet").iterdir()}
    assert parquet == {f"{name}.parquet" for _, name in tables}
    written = f"from '{published}/parquet/mart_b.parquet'"
    assert rows(published, written) == [(1, "x"), (2, "x"), (3, "x")]


def test_a_mart_of_known_grain_is_sorted_by_it_alone(tmp_path: Path, warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as db:
        db.execute("update marts.mart_b set text = (10 - id)::varchar")
    published = tmp_path / "published"
    publish(warehouse, published, release(1), keep=7, grains={"mart_b": ["text"]})
    assert rows(published, "from mart_b") == [(3, "7"), (2, "8"), (1, "9")]


def test_a_release_is_written_within_the_limit_of_memory_and_spilled_where_that_says(
    tmp_path: Path, warehouse: Path
) -> None:
    found = []

    def ask(db: duckdb.DuckDBPyConnection, _: Path) -> None:
        found.extend(db.execute(WITHIN).fetchall())

    within = engine("800MiB", tmp_path / ".tmp")
    publish(warehouse, tmp_path / "published", release(1), keep=7, write_also=ask, engine=within)
    assert found == [("800.0 MiB", str(tmp_path / ".tmp"))]


def test_so_is_the_warehouse_read(tmp_path: Path, warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as db:
        db.execute(f"create view marts.within as {WITHIN}")
    [frame] = warehouses.read(
        warehouse, engine("800MiB", tmp_path / ".tmp"), "marts.within"
    ).values()
    assert frame.collect().rows() == [("800.0 MiB", str(tmp_path / ".tmp"))]


def test_a_release_says_what_it_is_in_its_table_and_beside_it(
    tmp_path: Path, warehouse: Path
) -> None:
    published = tmp_path / "published"
    assert current_release(published) == {}
    publish(warehouse, published, release(2), keep=7)
    expected = ("20240102T000000Z", dt.date(2024, 1, 2), "code 2", "raw")
    assert rows(published, "from release") == [expected]
    assert tuple(current_release(published).values()) == (
        "20240102T000000Z",
        "2024-01-02",
        "code 2",
        "raw",
    )
    (published / "current" / "release.json").write_text('{"release_id": ')
    assert current_release(published) == {}


def test_clients_of_version_1_can_read_a_release(tmp_path: Path, warehouse: Path) -> None:
    publish(warehouse, tmp_path / "published", release(1), keep=7)
    header = (tmp_path / "published" / "marts.duckdb").read_bytes()[:20]
    magic, version = struct.unpack("<8x4sQ", header)
    # Storage version 64 is that of DuckDB 0.9 to 1.1; every 1.x client reads it.
    assert (magic, version) == (b"DUCK", 64)


def test_a_reader_with_the_old_release_open_keeps_reading_it(
    tmp_path: Path, warehouse: Path
) -> None:
    published = tmp_path / "published"
    publish(warehouse, published, release(1), keep=1)
    with duckdb.connect(str(published / "marts.duckdb"), read_only=True) as reader:
        publish(warehouse, published, release(2), keep=1)
        assert reader.execute("select release_id from release").fetchall() == [
            (release(1).release_id,)
        ]
        assert reader.execute("select count(*) from mart_b").fetchall() == [(3,)]
    assert rows(published, "select release_id from release") == [(release(2).release_id,)]


@pytest.mark.parametrize(("keep", "left"), [(7, ["1", "2", "3"]), (2, ["2", "3"]), (0, ["2", "3"])])
def test_the_newest_releases_are_kept(
    tmp_path: Path, warehouse: Path, keep: int, left: list[str]
) -> None:
    published = tmp_path / "published"
    for number in (1, 2, 3):
        publish(warehouse, published, release(number), keep)
    kept = sorted(path.name for path in (published / "releases").iterdir())
    assert kept == [release(int(number)).release_id for number in left]


def test_a_clock_that_was_put_back_does_not_cost_the_new_release(
    tmp_path: Path, warehouse: Path
) -> None:
    published = tmp_path / "published"
    for number in (5, 6, 1):
        publish(warehouse, published, release(number), keep=2)
    assert rows(published, "select release_id from release") == [(release(1).release_id,)]
    kept = {path.name for path in (published / "releases").iterdir()}
    assert kept == {release(number).release_id for number in (1, 6)}
    publish(warehouse, published, release(2), keep=2)
    kept = {path.name for path in (published / "releases").iterdir()}
    assert kept == {release(number).release_id for number in (1, 2)}


def test_a_first_publish_killed_before_its_last_step_has_published_nothing(
    tmp_path: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = tmp_path / "published"
    link = publishing._link

    def killed(name: Path, target: Path) -> None:
        if name.name == "current":
            raise KeyboardInterrupt
        link(name, target)

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "_link", killed)
        with pytest.raises(KeyboardInterrupt):
            publish(warehouse, published, release(1), keep=7)
    # It is not taken for done, and nothing that could be opened is half.
    assert current_release(published) == {}
    assert not (published / "marts.duckdb").exists()
    publish(warehouse, published, release(2), keep=7)
    assert rows(published, "select release_id from release") == [(release(2).release_id,)]


def test_a_release_that_was_never_switched_to_takes_the_place_of_none(
    tmp_path: Path, warehouse: Path
) -> None:
    published = tmp_path / "published"
    for number in (1, 2):
        publish(warehouse, published, release(number), keep=2)
    # As a kill leaves it before the last step.
    (published / "releases" / release(3).release_id).mkdir()
    publish(warehouse, published, release(4), keep=2)
    kept = sorted(path.name for path in (published / "releases").iterdir())
    assert kept == [release(2).release_id, release(4).release_id]


def test_what_a_killed_publish_left_is_swept_and_never_seen(
    tmp_path: Path, warehouse: Path
) -> None:
    published = tmp_path / "published"
    publish(warehouse, published, release(1), keep=7)
    (published / "releases" / "20240102T000000Z.partial" / "parquet").mkdir(parents=True)
    (published / "current.partial").symlink_to("releases/nowhere")
    assert rows(published, "select release_id from release") == [(release(1).release_id,)]
    publish(warehouse, published, release(3), keep=7)
    assert not list(published.rglob("*.partial"))
    assert rows(published, "select release_id from release") == [(release(3).release_id,)]


def test_a_publish_that_fails_leaves_the_last_release_in_place(
    tmp_path: Path, warehouse: Path
) -> None:
    published = tmp_path / "published"
    publish(warehouse, published, release(1), keep=7)
    with pytest.raises(duckdb.Error):
        publish(tmp_path / "no such warehouse.duckdb", published, release(2), keep=7)
    assert current_release(published)["release_id"] == release(1).release_id


def test_a_publish_that_fails_gives_its_disk_back(tmp_path: Path, warehouse: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    published = tmp_path / "published"
    with pytest.raises(OSError, match="No space left"):
        publish(warehouse, published, release(1), keep=7, write_also=full)
    assert not list(published.rglob("*"))[1:]


def test_an_old_release_that_cannot_be_removed_does_not_undo_the_new_one(
    tmp_path: Path, warehouse: Path
) -> None:
    published = tmp_path / "published"
    publish(warehouse, published, release(1), keep=1)
    # No folder, so rmtree refuses it, as it does what a network drive holds on to.
    (published / "releases" / "0").touch()
    publish(warehouse, published, release(2), keep=1)
    assert rows(published, "select release_id from release") == [(release(2).release_id,)]


def test_a_warehouse_that_was_deleted_after_a_kill_is_begun_anew(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    log = tmp_path / "warehouse.duckdb.wal"
    with duckdb.connect(str(lake.warehouse)) as db:
        db.execute("create table t (i int)")
        left = log.read_bytes()
    lake.warehouse.unlink()
    log.write_bytes(left)
    warehouses.ready(lake, ENGINE)
    duckdb.connect(str(lake.warehouse)).close()


def test_a_warehouse_that_cannot_be_opened_is_begun_anew_and_one_in_use_is_left(
    tmp_path: Path,
) -> None:
    lake = Lake(tmp_path)
    assert warehouses.ready(lake, ENGINE) is None
    with duckdb.connect(str(lake.warehouse)) as db:
        db.execute("create table t as from range(100000)")
    whole = lake.warehouse.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:100] + b"\xff" * 64 + whole[164:]):
        lake.warehouse.write_bytes(damaged)
        assert warehouses.ready(lake, ENGINE)
        assert warehouses.ready(lake, ENGINE) is None
    reader = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", reader, str(lake.warehouse)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(duckdb.IOException, match="lock"):
            warehouses.ready(lake, ENGINE)
        other.communicate(b"\n")
    assert warehouses.ready(lake, ENGINE) is None


def test_readers_see_no_error_and_never_a_mix_while_releases_are_switched(tmp_path: Path) -> None:
    # Fifty readers and twenty releases are tried by `make kills`.
    report = readers.trial(tmp_path, processes=2, readers=4, publishes=6)
    assert report["wrong"] == []
    assert report["looks"] > 20
    assert report["releases"] > 2


def test_a_mix_of_two_releases_is_found_out(tmp_path: Path) -> None:
    published = tmp_path / "published"
    readers.publish_number(tmp_path, 1)
    other = (published / "current").resolve() / "parquet" / "mart_b.parquet"
    duckdb.connect().execute(f"copy (select 2 as n) to '{other}' (format parquet)")
    assert readers.through_the_database(published) == {1}
    assert readers.through_parquet(published) == {1, 2}


def test_the_lock_tells_what_it_is_held_for(tmp_path: Path) -> None:
    held_for = "Dagster run 12 of extract"
    with exclusive(tmp_path / ".lock", on_wait=pytest.fail, what=held_for):
        assert (tmp_path / ".lock").read_text().endswith(f" UTC: {held_for}\n")


def test_the_lock_names_its_holder_lets_it_in_again_and_is_freed_by_a_kill(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    code = (
        "import time; from pathlib import Path; from dagster_project.core.lock import exclusive\n"
        f"with exclusive(Path({str(lock)!r}), print): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert f"process {holder.pid}, since" in lock.read_text()
    with lock.open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    told: list[str] = []

    def kill_the_holder(sentence: str) -> None:
        told.append(sentence)
        holder.kill()
        holder.wait()

    with (
        exclusive(lock, on_wait=kill_the_holder) as is_after_a_kill,
        exclusive(lock, on_wait=pytest.fail),
    ):
        assert f"process {holder.pid}" in told[0]
        assert is_after_a_kill


def test_a_killed_holder_is_known_until_somebody_holds_the_lock_again(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    assert not holder(lock).was_killed
    with exclusive(lock, on_wait=pytest.fail) as is_after_a_kill:
        assert not is_after_a_kill
    assert not holder(lock).was_killed
    lock.write_text("process 1, since yesterday")  # as a kill leaves it
    assert holder(lock).was_killed
    with exclusive(lock, on_wait=pytest.fail) as is_after_a_kill:
        assert is_after_a_kill
    assert not holder(lock).was_killed
