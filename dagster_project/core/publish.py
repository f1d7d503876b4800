"""A release: the marts of a built warehouse, copied out whole and switched to at once.

    published/releases/<id>/marts.duckdb, parquet/<mart>.parquet, release.json
    published/current        -> releases/<id>        the only thing that is ever switched
    published/marts.duckdb   -> current/marts.duckdb
    published/parquet        -> current/parquet

Whether a warehouse may be published is decided by the caller, who also holds the lock on DATA_DIR.
What the current release is gets asked every night, so DuckDB is imported only where one is written.
"""

import dataclasses
import datetime as dt
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_project.core.engine import ENGINE, Engine, identifier, literal
from dagster_project.core.lake import sync

if TYPE_CHECKING:
    import duckdb

    # Gets a connection that has the built warehouse attached as `warehouse`, and the folder.
    WriteAlso = Callable[[duckdb.DuckDBPyConnection, Path], object]

_UNFINISHED = ".partial"


@dataclass(frozen=True)
class Release:
    """What a release says of itself, in its table `release` and in release.json.

    release_id sorts by time; as_of_date is null if no accounts export ever arrived; fingerprint
    names the raw data, code and policies it was built from; raw_state the raw data alone.
    """

    release_id: str
    as_of_date: dt.date | None
    fingerprint: str
    raw_state: str


def publish(
    warehouse: Path,
    published: Path,
    release: Release,
    keep: int,
    write_also: "WriteAlso | None" = None,
    grains: Mapping[str, Sequence[str]] | None = None,
    engine: Engine = ENGINE,
) -> Mapping[str, int]:
    """Release every table of the warehouse's schema `marts`; rows per mart (count).

    The table `mart_status` says of each mart how many rows it has, and no_data where it has none.
    `write_also` may add to the folder of the release before it is switched to. A mart is sorted by
    its columns of `grains`, of which it must have one row each, else by all that it has.
    `engine` is the configuration of DuckDB.

    The newest `keep` releases stay, the new one and the one before it always: somebody may be just
    opening that; one that cannot be removed stays as well. A reader that has an older release open
    keeps reading it. Raises duckdb.Error and OSError before anything is switched, and then leaves
    nothing of the new release.
    """
    releases = published / "releases"
    releases.mkdir(parents=True, exist_ok=True)
    sweep(published)
    partial = releases / f"{release.release_id}{_UNFINISHED}"
    try:
        rows = _write(warehouse, partial, release, write_also, grains or {}, engine)
        for file in [*partial.glob("*.*"), *partial.glob("parquet/*")]:
            sync(file)
    except BaseException:
        # What it took of a full disk is what the next run may need.
        shutil.rmtree(partial, ignore_errors=True)
        raise
    partial.replace(releases / release.release_id)
    current = published / "current"
    before = current.readlink().name if current.is_symlink() else None
    # Last what counts: a kill in between leaves the release unpublished, and it is built again.
    _link(published / "marts.duckdb", Path("current") / "marts.duckdb")
    _link(published / "parquet", Path("current") / "parquet")
    _link(current, Path("releases") / release.release_id)
    # By name, and not counting on a clock that was never put back, or on no kill before the switch.
    others = [it for it in releases.iterdir() if it.name != release.release_id]
    others.sort(key=lambda it: (it.name == before, it.name), reverse=True)
    for old in others[max(keep - 1, 1) :]:
        # Published is published: what stays here is tried again with the next release.
        shutil.rmtree(old, ignore_errors=True)
    return rows


def current_release(published: Path) -> Mapping[str, str | None]:
    """The fields of the current release, as text; empty if nothing was published yet, or where
    release.json is damaged."""
    try:
        facts: Mapping[str, str | None] = json.loads(
            (published / "current" / "release.json").read_text()
        )
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return facts


def unfinished(published: Path) -> list[Path]:
    """What a killed publish left behind, unless one is under way."""
    return [*published.glob(f"*{_UNFINISHED}"), *published.glob(f"releases/*{_UNFINISHED}")]


def _write(
    warehouse: Path,
    folder: Path,
    release: Release,
    write_also: "WriteAlso | None",
    grains: Mapping[str, Sequence[str]],
    engine: Engine,
) -> Mapping[str, int]:
    import duckdb

    (folder / "parquet").mkdir(parents=True)
    with duckdb.connect(config={**engine}) as db:
        db.execute(f"attach {literal(str(warehouse))} as warehouse (read_only)")
        # The oldest storage version: 1.x clients cannot read what 2.x writes by default.
        db.execute(
            f"attach {literal(str(folder / 'marts.duckdb'))} as release (storage_version 'v1.0.0')"
        )
        marts = db.execute(
            "select table_name from duckdb_tables()"
            " where database_name = 'warehouse' and schema_name = 'marts' order by all"
        ).fetchall()
        rows = {}
        for (mart,) in marts:
            # Sorted, so that equal marts are equal files whatever order threads built them in.
            order = ", ".join(map(identifier, grains.get(mart, ()))) or "all"
            table = identifier(mart)
            db.execute(
                f"create table release.{table} as from warehouse.marts.{table} order by {order}"
            )
            rows[mart] = _copy_out(db, mart, folder)
        db.execute(
            "create table release.release (release_id varchar, as_of_date date,"
            " fingerprint varchar, raw_state varchar)"
        )
        db.execute("insert into release.release values (?, ?, ?, ?)", dataclasses.astuple(release))
        _copy_out(db, "release", folder)
        db.execute("create table release.mart_status (mart varchar, rows bigint, status varchar)")
        db.executemany(
            "insert into release.mart_status values (?, ?, ?)",
            [(mart, count, "ok" if count else "no_data") for mart, count in rows.items()],
        )
        _copy_out(db, "mart_status", folder)
        if write_also:
            write_also(db, folder)
        db.execute("detach release")
    (folder / "release.json").write_text(
        json.dumps(dataclasses.asdict(release), default=str, indent=2) + "\n"
    )
    return rows


def _copy_out(db: "duckdb.DuckDBPyConnection", table: str, folder: Path) -> int:
    target = literal(str(folder / "parquet" / f"{table}.parquet"))
    row = db.execute(f"copy release.{identifier(table)} to {target} (format parquet)").fetchone()
    return int(row[0]) if row else 0


def _link(link: Path, target: Path) -> None:
    """Point `link` at `target` in one step: a reader sees the old or the new, never none."""
    fresh = link.with_name(f"{link.name}{_UNFINISHED}")
    fresh.symlink_to(target)
    fresh.replace(link)


def sweep(published: Path) -> None:
    """Remove what a killed publish left behind; the caller holds the lock on DATA_DIR."""
    for left in unfinished(published):
        if left.is_symlink():
            left.unlink()
        else:
            # What may not be removed is in nobody's way; make doctor names it.
            shutil.rmtree(left, ignore_errors=True)
