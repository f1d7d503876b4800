"""The SQL of the dbt models, run on a world in memory: hundreds of worlds in one build's time.

Belongs here: compiling the project once per set of policies and running its statements, in their
own order, over tables that stand in for the raw files. Does not belong here: an expectation.
"""

import json
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Protocol

import duckdb
import polars as pl
import yaml
from dbt.cli.main import dbtRunner
from oracle import Policies, Row, World
from rows import contracts

DBT_DIR = Path(__file__).resolve().parent.parent / "dbt"
REVENUE = (
    "mart_mrr_bridge",
    "mart_churn_scoreboard",
    "mart_retention_nrr_grr",
    "mart_cohort_retention",
    "mart_portfolio_growth",
    "mart_survival_curve",
    "fct_mrr_movements",
    "dim_accounts",
    "mart_export_quality",
    "assert_bridge_adds_up",
    "assert_bridge_closes_to_next_open",
    "assert_movements_add_up_to_closing_mrr",
    "assert_grr_is_at_most_one_and_nrr",
)
REGISTRY = yaml.safe_load((DBT_DIR / "dbt_project.yml").read_text())["vars"]["metrics"]
REVENUE_MEASURES = ("int_revenue__slice_months", "int_retention__slice_windows")
# The registry with only what the revenue models can evaluate: a small part of the graph to build.
REVENUE_ONLY = {
    name: entry if entry["measures"] in REVENUE_MEASURES else {**entry, "grain": "elsewhere"}
    for name, entry in REGISTRY.items()
}
# What the Polars assets put out, for worlds that fill none of it.
DERIVED = {
    "onboarding_milestones": {
        "account_id": "varchar",
        "milestone": "varchar",
        "status": "varchar",
        "days_to_reach": "integer",
        "target_days": "integer",
        "is_required": "boolean",
        "started_at": "timestamp",
        "reached_at": "timestamp",
        "started_date": "date",
        "observed_until": "date",
    },
    "survey_responses": {
        "response_id": "varchar",
        "survey_type": "varchar",
        "metric": "varchar",
        "account_id": "varchar",
        "is_anonymous": "boolean",
        "channel": "varchar",
        "score": "integer",
        "score_class": "varchar",
        "excluded": "varchar",
        "is_high_good": "boolean",
        "responded_at": "timestamp",
        "responded_date": "date",
    },
}


@dataclass(frozen=True)
class Statement:
    relation: str
    kind: str
    sql: str


@dataclass(frozen=True)
class Models:
    """The project under one set of policies: its models in build order, and its identities."""

    models: Sequence[Statement]
    identities: Mapping[str, str]

    def build(self, world: World, **tables: Sequence[Row]) -> duckdb.DuckDBPyConnection:
        """A database with schemas staging, intermediate and marts, built from `world`.

        Further exports are passed by name, such as ravenstack__accounts=[...], and so are derived
        tables (derived__onboarding_milestones) and seeds that stand in for the project's own
        (seeds__survey_types). Everything landed on the as-of day, but for rows and ledger lines
        that name a landing_date of their own.
        """
        database = duckdb.connect()
        database.execute("attach ':memory:' as warehouse; use warehouse")
        database.execute("create schema raw; create schema staging; create schema seeds")
        database.execute("create schema intermediate; create schema marts; set TimeZone = 'UTC'")
        rows = {
            "crm__accounts": world.accounts,
            "billing__subscriptions": world.subscriptions,
            "billing__cancellations": world.cancellations,
            "billing__fx_rates": world.fx_rates,
            "orders__orders": world.orders,
            **tables,
        }
        for name, columns in contracts().items():
            fill(database, name, columns, rows.get(name, ()), world.as_of)
        for name, columns in DERIVED.items():
            fill(database, f"derived__{name}", columns, rows.get(f"derived__{name}", ()), None)
        if "lake__extractions" not in rows:
            for export in [name for name in rows if rows[name] or "accounts" in name]:
                if export.split("__")[0] in ("derived", "seeds"):
                    continue
                database.execute(
                    "insert into raw.lake__extractions by name select 1 as seq, ? as system,"
                    " ? as export, unnest(?) as landing_date, 'ok' as status",
                    [
                        *export.split("__"),
                        sorted(
                            {world.as_of}
                            | {row.get("landing_date", world.as_of) for row in rows[export]}
                        ),
                    ],
                )
        for path in DBT_DIR.glob("seeds/*.csv"):
            table = f"seeds.{path.stem}"
            types = seed_types().get(path.stem, {})
            database.execute(f"create table {table} as from read_csv('{path}', types = {types})")
            if f"seeds__{path.stem}" in rows:
                database.execute(f"delete from {table}")
                for row in rows[f"seeds__{path.stem}"]:
                    marks = ", ".join("?" * len(row))
                    names = ", ".join(row)
                    database.execute(
                        f"insert into {table} ({names}) values ({marks})", list(row.values())
                    )
        for statement in self.models:
            database.execute(f"create {statement.kind} {statement.relation} as {statement.sql}")
        return database

    def broken_identities(self, database: duckdb.DuckDBPyConnection) -> dict[str, list[Any]]:
        """The rows that each blocking test returns, of those that return any."""
        found = {name: database.execute(sql).fetchall() for name, sql in self.identities.items()}
        return {name: rows for name, rows in found.items() if rows}


class CompileModels(Protocol):
    """The models and blocking tests of `names`, and all they need, compiled under `policies`.

    `variables` override further vars of dbt_project.yml.
    """

    def __call__(
        self, policies: Policies, names: tuple[str, ...] = REVENUE, **variables: Any
    ) -> Models: ...


def rows_of(database: duckdb.DuckDBPyConnection, mart: str) -> list[dict[str, Any]]:
    return pl.DataFrame(database.sql(f"from marts.{mart}")).to_dicts()


def is_close(value: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, Decimal | float) and value is not None:
        # Money agrees to `tolerance`; a rate may have a hundredth of a cent under its line.
        relative = 10 * tolerance if isinstance(expected, float) else 1e-9
        return math.isclose(float(value), float(expected), rel_tol=relative, abs_tol=tolerance)
    return bool(value == expected)


def differences(
    mart: Sequence[Row], expected: Sequence[Row], keys: Sequence[str], tolerance: float
) -> list[str]:
    """Every cell that differs, rows told apart by those of `keys` that the mart has.

    Rows that only the mart has must hold but zeros and nulls in the columns that are expected.
    """
    keys = [name for name in keys if name in (expected or mart or [{}])[0]]
    found = {tuple(row[name] for name in keys): row for row in mart}
    wanted = {tuple(row[name] for name in keys): row for row in expected}
    extra = found.keys() - wanted.keys()
    measures = [name for name in (expected or mart or [{}])[0] if name not in keys]
    return [
        *(f"missing {key}" for key in wanted.keys() - found.keys()),
        *(f"extra {key}" for key in extra if not _is_empty(found[key], measures)),
        *(
            f"{key} {column}: {found[key][column]} instead of {cell}"
            for key in wanted.keys() & found.keys()
            for column, cell in wanted[key].items()
            if not is_close(found[key][column], cell, tolerance)
        ),
    ]


def _is_empty(row: Row, columns: Sequence[str]) -> bool:
    cells = [row[column] for column in columns]
    return not any(
        cell for cell in cells if isinstance(cell, int | Decimal) and not isinstance(cell, bool)
    )


@cache
def seed_types() -> dict[str, dict[str, str]]:
    """Column types of the seeds whose columns dbt is told the types of."""
    project = yaml.safe_load((DBT_DIR / "dbt_project.yml").read_text())["seeds"]
    seeds = project["customer_success"].items()
    return {name: config["+column_types"] for name, config in seeds if isinstance(config, dict)}


def compiled(
    scratch: Path, policies: Policies, names: tuple[str, ...] = REVENUE, **variables: Any
) -> Models:
    """The project compiled under `policies`; `scratch` is a folder that dbt may write to.

    Every system is on, canonical and foreign: a world fills those that it is about.
    """
    return _compiled(scratch, policies, names, json.dumps(variables))


@cache
def _compiled(scratch: Path, policies: Policies, names: tuple[str, ...], overrides: str) -> Models:
    systems = sorted({name.split("__")[0] for name in contracts()})
    variables = asdict(policies) | {"systems": systems} | json.loads(overrides)
    done = dbtRunner().invoke(
        [
            *("--quiet", "compile", "--vars", json.dumps(variables)),
            *("--select", *(f"+{name}" for name in names if not name.startswith("assert_"))),
            *(name for name in names if name.startswith("assert_")),
            *("--project-dir", str(DBT_DIR), "--profiles-dir", str(DBT_DIR)),
            *("--target-path", str(scratch / "target"), "--log-path", str(scratch)),
        ]
    )
    assert done.success, done.exception or done.result
    results: Any = done.result
    nodes: dict[str, Any] = {result.node.unique_id: result.node for result in results.results}
    models = [
        Statement(
            f"{node.schema}.{node.name}",
            "view" if node.config.materialized == "view" else "table",
            _in_memory(node.compiled_code),
        )
        for node in _in_build_order(nodes)
        if node.resource_type == "model"
    ]
    identities = {
        node.name: _in_memory(node.compiled_code)
        for node in nodes.values()
        if node.resource_type == "test" and node.name in names
    }
    assert {statement.relation.split(".")[1] for statement in models} | set(identities) >= set(
        names
    )
    return Models(models, identities)


def _in_build_order(nodes: Mapping[str, Any]) -> list[Any]:
    parents = {name: getattr(node.depends_on, "nodes", ()) for name, node in nodes.items()}
    return [nodes[name] for name in TopologicalSorter(parents).static_order() if name in nodes]


def _in_memory(sql: str) -> str:
    """`sql` reading tables of the schema raw where it read raw files."""
    sql = re.sub(r"read_parquet\('[^']*/raw/(\w+)/(\w+)/[^)]*\)", r"raw.\1__\2", sql)
    sql = re.sub(r"read_json\('[^']*/raw/(\w+)\.jsonl'[^)]*\)", r"raw.lake__\1", sql)
    sql = re.sub(r"read_parquet\('[^']*/(closes)/[^)]*\)", r"raw.lake__\1", sql)
    return re.sub(r"read_parquet\('[^']*/derived/(\w+)\.parquet[^)]*\)", r"raw.derived__\1", sql)


def fill(
    database: duckdb.DuckDBPyConnection,
    name: str,
    columns: Mapping[str, str],
    rows: Sequence[Row],
    landing_date: Any,
) -> None:
    """Create raw.`name` of `rows`; those that name no landing_date of their own get this one."""
    typed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
    extra = "" if "landing_date" in columns else ", landing_date date"
    database.execute(f"create table raw.{name} ({typed}{extra})")
    if rows:
        frame = pl.DataFrame(
            [
                {column: row[column] for column in columns}
                | {"landing_date": row.get("landing_date", landing_date)}
                for row in rows
            ],
            infer_schema_length=None,
        )
        casts = ", ".join(f'"{column}"::{kind} as "{column}"' for column, kind in columns.items())
        with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
            frame.write_parquet(file.name)
            database.execute(
                f"insert into raw.{name} by name"
                f" select * replace ({casts}) from read_parquet('{file.name}')"
            )
