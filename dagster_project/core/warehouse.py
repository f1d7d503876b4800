"""Reading the built warehouse into Polars, and derived tables back to Parquet.

Connections are read-only and short: DuckDB lets nobody else write while one is open, and dbt is the
only writer. What is computed from the frames stands in surveys.py and milestones.py.
"""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import duckdb
import polars as pl

from dagster_project.core.engine import Engine
from dagster_project.core.lake import Lake
from dagster_project.core.machine import is_of_the_machine

_DAMAGE = {
    duckdb.Error,
    duckdb.IOException,
    duckdb.SerializationException,
    duckdb.InternalException,
}
# Where no accounts export ever arrived nothing has happened yet, and every derived table is empty.
BEFORE_EVERYTHING = dt.date(1900, 1, 1)


def damage(warehouse: Path, engine: Engine, *, read_only: bool = False) -> str | None:
    """Why DuckDB cannot open the warehouse, as after a crash of the disk; None if it can.

    Raises duckdb.Error where the machine is at fault, or somebody else has it open.
    """
    try:
        duckdb.connect(str(warehouse), read_only, config={**engine}).close()
    except duckdb.Error as error:
        # What a checksum finds is of no kind but the most general.
        if is_of_the_machine(error) or type(error) not in _DAMAGE:
            raise
        return str(error).splitlines()[0]
    return None


def ready(lake: Lake, engine: Engine) -> str | None:
    """Make sure that there is a warehouse, for its owner alone, as raw is; what was wrong with one
    that cannot be opened and is replaced by a new one, because all in it is computed.

    Raises duckdb.Error where somebody else has it open.
    """
    found = damage(lake.warehouse, engine) if lake.warehouse.exists() else None
    if found:
        lake.warehouse.unlink()
    if not lake.warehouse.exists():
        # The write-ahead log that a killed write left fits no warehouse but the one that is gone.
        lake.warehouse.with_name(f"{lake.warehouse.name}.wal").unlink(missing_ok=True)
        with lake.replacing(lake.warehouse) as file:
            duckdb.connect(str(file)).close()
            file.chmod(0o600)
    return found


def read(warehouse: Path, engine: Engine, *tables: str) -> Mapping[str, pl.LazyFrame]:
    """Tables of the warehouse, named schema.table, as frames by table name.

    `engine` is the configuration of DuckDB. Raises duckdb.Error if there is no such warehouse or
    table.
    """
    with duckdb.connect(str(warehouse), read_only=True, config={**engine}) as db:
        return {
            table.rpartition(".")[2]: pl.DataFrame(db.sql(f"from {table}")).lazy()
            for table in tables
        }


def as_of_date(warehouse: Path, engine: Engine) -> dt.date | None:
    """The as-of day of the marts; None if the accounts export never arrived."""
    [frame] = read(warehouse, engine, "intermediate.int_quality__as_of").values()
    day: dt.date | None = frame.collect().item(0, "as_of_date")
    return day


def write_derived(lake: Lake, name: str, frame: pl.LazyFrame) -> int:
    """Replace a derived table whole; its rows (count)."""
    table = frame.collect()
    with lake.replacing(lake.derived(name)) as file:
        table.write_parquet(file)
    return table.height
