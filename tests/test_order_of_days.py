"""Backfill = nightly: whatever the order in which days land, the marts are the same."""

import shutil
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program import run_program

from dagster_project.core.exports import load_exports
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import Lake
from dagster_project.core.ledger import read_ledger
from dagster_project.core.samples import generate
from dagster_project.core.staleness import Rules, stale_days
from dagster_project.settings import STAGING_DIR

FIRST = date(2024, 2, 27)
RULES = Rules(first_day=date(2020, 1, 1), max_reject_share=0.5)
# An append export with versions, a snapshot, and the append export whose first landing wins.
EXPORTS = {
    name: load_exports(STAGING_DIR)[name]
    for name in ("orders/orders", "crm/users", "product/events")
}
Day = tuple[str, date]


def deliver(lake: Lake, landing_day: Day, rows: list[str]) -> None:
    name, day = landing_day
    export = EXPORTS[name]
    target = lake.landing(export.system, export.name) / f"{day}.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    header = ",".join(column.name for column in export.columns)
    target.write_text(header + "\n" + "".join(rows))


def extract_what_is_new(lake: Lake) -> list[Day]:
    """A night; the days that it extracted."""
    ledger = read_ledger(lake)
    new = [
        (name, day)
        for name, export in EXPORTS.items()
        for day in stale_days(export, lake, ledger, RULES)
    ]
    extract(lake, new)
    return new


def extract(lake: Lake, days: Iterable[Day]) -> None:
    with Extractor(lake, RULES) as extractor:
        for name, day in days:
            extractor.extract_day(EXPORTS[name], day)


def raw_state(lake: Lake) -> dict[Day, tuple[Any, ...]]:
    """How each day stands, and what raw holds of it if its newest files are good."""
    state = {}
    for (system, export, day), (newest, _) in read_ledger(lake).items():
        counts = newest.rows_in, newest.rows_accepted, newest.rows_rejected, newest.rows_superseded
        rows = pl.read_parquet(lake.raw_day(system, export, day)).rows() if newest.is_ok else None
        state[f"{system}/{export}", day] = newest.status, newest.error, counts, newest.reasons, rows
    return state


# Few ids, so that rows repeat and conflict; a fault in some, so that days fail.
rows = {
    "orders/orders": st.builds(
        "O{},A{},2024-02-{:02d},{},USD,{},\n".format,
        st.integers(1, 4),
        st.integers(1, 2),
        st.integers(1, 28),
        st.sampled_from(["100", "200", "12.5", ""]),
        st.sampled_from(["placed", "completed", "lost"]),
    ),
    "crm/users": st.builds(
        "U{},A1,{},true,{},\n".format,
        st.integers(1, 3),
        st.sampled_from(["", "admin"]),
        st.sampled_from(["2024-02-01", "2024-02-02T10:00:00Z", "yesterday"]),
    ),
    "product/events": st.builds(
        "E{},A1,u1,{},,2024-02-{:02d},,{}\n".format,
        st.integers(1, 4),
        st.sampled_from(["login", "click"]),
        st.integers(1, 28),
        st.sampled_from(["", "5", "-1"]),
    ),
}
# Each day of an export is delivered one to three times; the last delivery is what counts.
deliveries = st.dictionaries(
    st.tuples(st.sampled_from(sorted(EXPORTS)), st.integers(0, 3)), st.integers(1, 3), min_size=1
)


@settings(max_examples=20, deadline=None)
@given(deliveries=deliveries, data=st.data())
def test_nights_and_backfills_in_any_order_leave_the_same_raw_data(
    deliveries: dict[tuple[str, int], int],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    by_and_by, at_once = (Lake(tmp_path_factory.mktemp("lake")) for _ in range(2))
    pending = {(name, FIRST + timedelta(days=n)): k for (name, n), k in deliveries.items()}
    landed: dict[Day, list[str]] = {}
    while any(pending.values()):
        late = data.draw(st.sampled_from([day for day, times in pending.items() if times]))
        pending[late] -= 1
        landed[late] = data.draw(st.lists(rows[late[0]], max_size=5))
        deliver(by_and_by, late, landed[late])
        match data.draw(st.sampled_from(["nothing", "night", "backfill"])):
            case "night":
                extract_what_is_new(by_and_by)
            case "backfill":
                # Exactly these, new or not, in this order, one of them maybe twice.
                extract(by_and_by, data.draw(st.lists(st.sampled_from(list(landed)), max_size=4)))
    extract_what_is_new(by_and_by)
    assert extract_what_is_new(by_and_by) == []

    for day, content in landed.items():
        deliver(at_once, day, content)
    extract_what_is_new(at_once)
    assert raw_state(by_and_by) == raw_state(at_once)


def published(data_dir: Path) -> dict[str, list[tuple[Any, ...]]]:
    with duckdb.connect(str(data_dir / "published" / "marts.duckdb"), read_only=True) as marts:
        # The ledger of closes remembers the nights, and a release says when it was made.
        names = {name for (name,) in marts.sql("show tables").fetchall()}
        names -= {"release", "mart_metric_restatement"}
        tables = {name: marts.sql(f"from {name} order by all").fetchall() for name in names}
        status = tables["mart_status"]
        return tables | {
            "mart_status": [row for row in status if row[0] != "mart_metric_restatement"]
        }


def of_another_order(data_dir: Path) -> list[str]:
    """Tables that come out different once the rows of all tables lie in another order."""
    compiled = (data_dir / ".dagster" / "dbt" / "target" / "compiled").rglob("models/**/*.sql")
    # The ledger of closes has grown since the build.
    selects = {path.stem: path.read_text() for path in compiled}
    del selects["int_metrics__closes"]
    shuffled = data_dir / "shuffled" / "warehouse.duckdb"
    shuffled.parent.mkdir()
    shutil.copyfile(data_dir / "warehouse.duckdb", shuffled)
    with duckdb.connect(str(shuffled)) as db:
        tables = db.sql("select schema_name, table_name from duckdb_tables()").fetchall()
        for schema, table in tables:
            db.execute(
                f"create or replace table {schema}.{table} as"
                f" from {schema}.{table} select * order by hash({table}) desc"
            )
        return [
            table
            for schema, table in tables
            if table in selects
            and db.sql(f"from {schema}.{table} order by all").fetchall()
            != db.sql(f"from ({selects[table]}) order by all").fetchall()
        ]


def test_three_nights_a_correction_and_one_big_backfill_publish_the_same_marts(
    tmp_path: Path,
) -> None:
    samples = tmp_path / "samples"
    generate(samples, accounts=15, days=4, events_per_account=40)
    days = [date(2025, 6, 27) + timedelta(days=index) for index in range(4)]
    nightly, at_once = tmp_path / "nightly", tmp_path / "at_once"

    def land(day: date, data_dir: Path) -> None:
        for part in samples.glob(f"*/*/{day}*"):
            target = data_dir / "landing" / part.relative_to(samples)
            target.parent.mkdir(parents=True, exist_ok=True)
            if part.is_dir():
                shutil.copytree(part, target, dirs_exist_ok=True)
            else:
                shutil.copyfile(part, target)

    # The last day first, then the first two, one of them short of an account; then the third, with
    # the short one delivered anew.
    for night in ([days[3]], days[:2], [days[2], days[1]]):
        for day in night:
            land(day, nightly)
        if days[0] in night:
            accounts = nightly / "landing" / "crm" / "accounts" / f"{days[1]}.csv"
            accounts.write_text("".join(accounts.read_text().splitlines(keepends=True)[:-1]))
        done = run_program(nightly)
        assert done.returncode == 0, done.stdout

    for day in days:
        land(day, at_once)
    done = run_program(at_once, "backfill", "--from", str(days[0]), "--to", str(days[3]))
    assert done.returncode == 0, done.stdout
    assert published(nightly) == published(at_once)
    assert of_another_order(at_once) == []

    before = (at_once / "published" / "current").readlink()
    again = run_program(at_once)
    assert again.returncode == 0
    assert "up to date" in again.stdout
    assert (at_once / "published" / "current").readlink() == before
