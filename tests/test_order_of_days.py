"""Backfill = nightly: whatever the order in which days land, the marts are the same."""

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program import run_program

from dagster_project.core.exports import Export, Rules, load_exports, read_ledger, stale_days
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import Lake
from dagster_project.core.samples import generate
from dagster_project.settings import STAGING_DIR

FIRST = date(2024, 2, 27)
RULES = Rules(first_day=date(2020, 1, 1), max_reject_share=0.5)
ORDERS = load_exports(STAGING_DIR)["orders/orders"]
HEADER = "order_id,account_id,ordered_at,amount_minor,currency,status,updated_at\n"


def deliver(lake: Lake, day: date, rows: list[str]) -> None:
    target = lake.landing("orders", "orders") / f"{day}.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(HEADER + "".join(rows))


def extract(lake: Lake, export: Export) -> None:
    with Extractor(lake, RULES) as extractor:
        for day in stale_days(export, lake, read_ledger(lake), RULES):
            extractor.extract_day(export, day)


def raw_state(lake: Lake) -> tuple[Any, ...]:
    """What raw holds of each day, and how each day stands."""
    ledger = read_ledger(lake)
    standing = {
        key[2]: (state.newest.status, state.newest.rows_in, state.newest.rows_rejected)
        for key, state in ledger.items()
    }
    days = {
        day: pl.read_parquet(lake.raw_day("orders", "orders", day)).rows()
        for day in standing
        if lake.raw_day("orders", "orders", day).exists()
    }
    return standing, days


row = st.builds(
    "{},A{},2024-02-{:02d},{},USD,{},\n".format,
    st.integers(1, 4),
    st.integers(1, 2),
    st.integers(1, 28),
    st.sampled_from(["100", "200", "12.5", ""]),
    st.sampled_from(["placed", "completed", "lost"]),
)
# Each day is delivered one to three times; the last delivery is what counts.
deliveries = st.dictionaries(
    st.integers(0, 5), st.lists(st.lists(row, max_size=5), min_size=1, max_size=3), min_size=1
)


@settings(max_examples=40, deadline=None)
@given(deliveries=deliveries, data=st.data())
def test_days_extracted_in_any_order_leave_the_same_raw_data(
    deliveries: dict[int, list[list[str]]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    nightly, at_once = (Lake(tmp_path_factory.mktemp("lake")) for _ in range(2))
    pending = {day: list(versions) for day, versions in deliveries.items()}
    while pending:
        day = data.draw(st.sampled_from(sorted(pending)))
        deliver(nightly, FIRST + timedelta(days=day), pending[day].pop(0))
        pending = {day: versions for day, versions in pending.items() if versions}
        if data.draw(st.booleans()):
            extract(nightly, ORDERS)
    extract(nightly, ORDERS)
    extract(nightly, ORDERS)

    for day, versions in deliveries.items():
        good = [rows for rows in versions if is_good(rows)]
        for rows in [*good[-1:], versions[-1]]:
            deliver(at_once, FIRST + timedelta(days=day), rows)
            extract(at_once, ORDERS)
    # Whether a good day that was overtaken before anybody read it stands in raw depends on when the
    # night ran; what landed last and is good does not.
    standing, raw = raw_state(nightly)
    expected_standing, expected_raw = raw_state(at_once)
    assert standing == expected_standing
    for day, (status, *_) in standing.items():
        if status == "ok":
            assert raw[day] == expected_raw[day]


def is_good(rows: list[str]) -> bool:
    bad = [row for row in rows if ",12.5," in row or ",,USD" in row or ",lost," in row]
    return len(bad) <= len(rows) / 2


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
    done = run_program(at_once)
    assert done.returncode == 0, done.stdout
    assert published(nightly) == published(at_once)
    assert of_another_order(at_once) == []

    before = (at_once / "published" / "current").readlink()
    again = run_program(at_once)
    assert again.returncode == 0
    assert "up to date" in again.stdout
    assert (at_once / "published" / "current").readlink() == before
