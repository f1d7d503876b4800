"""The rollup night by night: what it keeps equals what all files at once would give.

dbt builds a warehouse over files that land, land late, come again and are replaced; after every
night the whole of it is held against plain Python that has seen the files alone.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import oracle_usage as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import CompileModels, Models, compiled, fill
from oracle import Policies, World
from oracle_usage import Rules
from program import land
from rows import account, contracts, event, ledger_line

from bench.measuring import DBT_EXECUTABLE
from dagster_project.core.exports import load_exports
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import Lake
from dagster_project.core.ledger import read_ledger
from dagster_project.core.staleness import Rules as ExportRules
from dagster_project.core.staleness import stale_days
from dagster_project.settings import DBT_DIR, STAGING_DIR

EXPORTS = load_exports(STAGING_DIR)
EXPORT_RULES = ExportRules(first_day=date(2020, 1, 1), max_reject_share=0.5)
RELATIONS = (
    "int_usage__user_days",
    "int_usage__user_day_events",
    "int_usage__account_day_features",
    "int_usage__account_days",
    "int_usage__account_months",
    "int_usage__active_days",
    "int_adoption__month_rollup",
    "int_onboarding__occurrences",
)
FIRST, SECOND, THIRD = (date(2024, 3, 5) + timedelta(index) for index in range(3))


class Nights:
    """A data folder; what landed in it is remembered as the rows that the oracle is given."""

    def __init__(self, data_dir: Path) -> None:
        self.lake = Lake(data_dir)
        self.project = DBT_DIR
        self.landed: dict[date, Sequence[Mapping[str, Any]]] = {}

    def deliver(self, day: date, events: Sequence[dict[str, Any]]) -> None:
        land(self.lake.root, "product/events", day, list(events), "jsonl.gz")
        land(self.lake.root, "crm/accounts", day, [account("A")], "parquet")
        self.landed[day] = [{**row, "landing_date": day} for row in events]

    def build(self, rules: Rules, as_of: date | None = None, **policies: object) -> None:
        """One night: extract what is new, and build usage."""
        with Extractor(self.lake, EXPORT_RULES) as extractor:
            for export in EXPORTS.values():
                extractor.ensure_empty(export)
                for day in stale_days(export, self.lake, read_ledger(self.lake), EXPORT_RULES):
                    assert extractor.extract_day(export, day).is_ok
        variables = asdict(rules) | {"as_of": as_of and str(as_of)} | policies
        folder = self.lake.root / "dbt"
        done = subprocess.run(
            [
                *(DBT_EXECUTABLE, "--quiet", "build", "--vars", json.dumps(variables)),
                *("--select", *(f"+{name}" for name in RELATIONS)),
                *("--resource-type", "model", "--resource-type", "seed"),
                *("--project-dir", self.project, "--profiles-dir", DBT_DIR),
                *("--target-path", folder, "--log-path", folder),
            ],
            env=os.environ | {"DATA_DIR": str(self.lake.root)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.lake.warehouse)) as db:
            return db.execute(sql).fetchall()

    def assert_as_if_all_had_landed_at_once(self, rules: Rules, as_of: date) -> None:
        rows = [row for day in self.landed.values() for row in day]
        counted = oracle.counted(rows, as_of, rules)
        assert counted
        for relation, expected in (
            ("int_usage__user_days", oracle.user_days(counted, rules)),
            ("int_usage__user_day_events", oracle.user_day_events(counted)),
            ("int_usage__account_day_features", oracle.account_day_features(counted)),
            ("int_usage__account_days", oracle.account_days(counted, rules)),
            ("int_usage__account_months", oracle.account_months(counted, rules)),
        ):
            names = sorted(expected[0]) if expected else ["account_id"]
            found = self.query(f"select {', '.join(names)} from intermediate.{relation}")
            assert sorted(map(repr, found)) == sorted(
                repr(tuple(row[name] for name in names)) for row in expected
            ), relation
        occurrences = self.query(
            "select account_id, event_name, occurrence_id, occurred_at"
            " from intermediate.int_onboarding__occurrences"
        )
        assert set(occurrences) == oracle.first_occurrences(counted)


def click(
    number: int, day: date, hour: int = 12, minute: int = 0, **columns: Any
) -> dict[str, Any]:
    return event(f"E{number}", datetime.combine(day, time(hour, minute)), **columns)


def newest_marked(nights: Nights, model: str) -> date | None:
    """The newest month that was not computed again since it was marked."""
    marked = f"select max(period_start) from intermediate.{model} where account_id = '99'"
    [(month,)] = nights.query(marked)
    found: date | None = month
    return found


def ago(days: int) -> date:
    return FIRST - timedelta(days)


def test_late_repeated_and_replaced_days_give_what_one_delivery_would(tmp_path: Path) -> None:
    nights, rules = Nights(tmp_path), Rules()
    other = Rules(late_arrival_days=0, reporting_timezone="Asia/Tokyo")
    history = [
        click(1, ago(40), event_name="login", session_id="s"),
        click(2, ago(20), 23, 50, session_id="s", feature="reports"),
        click(3, ago(1), session_id="t", event_name="report_created", feature="reports"),
        click(4, FIRST, user_id=None, duration_seconds=90.0),
    ]
    nights.deliver(FIRST, history)
    nights.build(rules)
    nights.assert_as_if_all_had_landed_at_once(rules, FIRST)

    # Marks on days and months, which no figure reads: they go where one is computed again.
    nights.query("update intermediate.int_usage__rollup set events = 99 where grain = 'date'")
    for model in MONTHLY:
        nights.query(f"update intermediate.{model} set account_id = '99' where grain = 'month'")
    nights.deliver(
        SECOND,
        [
            click(3, SECOND, session_id="u"),  # again, and told otherwise
            click(5, ago(1), 12, 20, session_id="t", user_id="u2"),  # late, within a session
            click(6, ago(20), 9, feature="alerts"),  # very late
            click(7, SECOND, 20, event_name="login"),
        ],
    )
    nights.build(rules)
    marked = nights.query(
        "select occurred_date from intermediate.int_usage__rollup where events = 99"
    )
    assert set(marked) == {(ago(40),), (FIRST,)}
    # February has the weeks before March; January ends before any of the new days.
    assert newest_marked(nights, "int_usage__month_rollup") == date(2024, 1, 1)
    assert newest_marked(nights, "int_adoption__month_rollup") == date(2024, 1, 1)
    assert newest_marked(nights, "int_usage__active_days") == date(2024, 1, 1)
    nights.assert_as_if_all_had_landed_at_once(rules, SECOND)

    # The first day is delivered anew without its oldest date, a third day lands beyond the pin, and
    # days begin elsewhere.
    nights.deliver(
        FIRST, [click(4, FIRST, 9), click(8, ago(1), 12, 10, session_id="t"), history[1]]
    )
    nights.deliver(THIRD, [click(9, THIRD, 8), click(6, ago(20), 9), click(7, SECOND, 20)])
    nights.build(other, as_of=SECOND)
    nights.assert_as_if_all_had_landed_at_once(other, SECOND)

    nights.build(rules)
    nights.assert_as_if_all_had_landed_at_once(rules, THIRD)
    for model in MONTHLY:
        nights.query(f"update intermediate.{model} set account_id = '99' where grain = 'month'")
    # A policy of adoption makes its months stale and no others.
    nights.build(rules, healthy_user_logins=1)
    assert newest_marked(nights, "int_usage__month_rollup") == FIRST.replace(day=1)
    assert newest_marked(nights, "int_adoption__month_rollup") is None
    [(healthy,)] = nights.query(
        "select max(healthy_users) from intermediate.int_adoption__month_rollup"
    )
    assert healthy
    dates = nights.query("select distinct occurred_date from intermediate.int_usage__rollup")
    assert (ago(40),) not in dates

    # A later first day takes out what landed before it, though it was read then.
    del nights.landed[FIRST]
    nights.build(rules, first_day=str(SECOND))
    nights.assert_as_if_all_had_landed_at_once(rules, THIRD)


def test_rows_that_share_a_grain_are_refused_before_they_are_taken_in(tmp_path: Path) -> None:
    nights = Nights(tmp_path / "data")
    nights.deliver(FIRST, [click(1, FIRST)])
    nights.build(Rules())
    kept = "from intermediate.int_usage__landed_dates order by all"
    before = nights.query(kept)
    # An edit that has every row twice.
    nights.project = tmp_path / "dbt"
    shutil.copytree(DBT_DIR, nights.project, ignore=shutil.ignore_patterns("target", "logs"))
    [model] = nights.project.glob("**/int_usage__landed_dates.sql")
    model.write_text(f"{model.read_text()}\ncross join (select unnest([1, 2]))")
    nights.deliver(SECOND, [click(2, SECOND)])
    with pytest.raises(
        AssertionError, match="several rows of the same landing_date, occurred_date"
    ):
        nights.build(Rules())
    assert nights.query(kept) == before


# --- Any order of days, without dbt: its statements on a database in memory ----------------------

MONTHLY = ("int_usage__month_rollup", "int_usage__active_days", "int_adoption__month_rollup")
INCREMENTAL = ("int_usage__landed_dates", "int_usage__rollup", *MONTHLY)


@pytest.fixture(scope="module")
def incremental_models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """As dbt compiles them where the tables stand already."""
    scratch = tmp_path_factory.mktemp("incremental")
    with duckdb.connect(str(scratch / "warehouse.duckdb")) as db:
        db.execute("create schema intermediate")
        for name in INCREMENTAL:
            db.execute(f"create table intermediate.{name} (n int)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_DIR", str(scratch))
        return compiled(scratch, Policies(), RELATIONS)


class Raw:
    """What raw holds: the newest delivery of each landing day, and a line for every delivery."""

    def __init__(self) -> None:
        self.events: dict[date, list[dict[str, Any]]] = {}
        self.ledger: list[dict[str, Any]] = []

    def extract(self, day: date, events: list[dict[str, Any]]) -> None:
        self.events[day] = [{**row, "landing_date": day} for row in events]
        for export, content in (("product/events", events), ("crm/accounts", None)):
            landed = json.dumps([[f"{day}.csv", 0, 0, 0, repr(content)]])
            self.ledger.append(ledger_line(export, day, len(self.ledger), landed=landed))

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        rows = [row for day in self.events.values() for row in day]
        return {"product__events": rows, "lake__extractions": self.ledger}


def run_night(
    db: duckdb.DuckDBPyConnection, models: Models, raw: Raw, manifest: Mapping[str, Any]
) -> None:
    """What dbt does: tables anew; incremental ones by delete + insert, here in batches of one date
    or two, and their hooks."""
    for name, rows in raw.tables().items():
        db.execute(f"drop table raw.{name}")
        fill(db, name, contracts()[name], rows, None)
    for statement in models.models:
        name = statement.relation.partition(".")[2]
        if name not in INCREMENTAL:
            db.execute(
                f"create or replace {statement.kind} {statement.relation} as {statement.sql}"
            )
            continue
        config = manifest["nodes"][f"model.customer_success.{name}"]["config"]
        key = config["unique_key"]
        last = date.min
        while last:
            db.execute(f"set variable done_until = date '{last}'")
            batch = statement.sql.replace("2000000", "2")
            db.execute(f"create or replace temp table fresh as {batch}")
            db.execute(f"delete from {statement.relation} where {key} in (select {key} from fresh)")
            db.execute(f"insert into {statement.relation} by name from fresh")
            [(last,)] = db.execute(f"select max({key}) from fresh").fetchall()
            if not (dates := config.get("batches_of")):
                break
            [(newest,)] = db.execute(f"select max({key}) from intermediate.{dates}").fetchall()
            if last == newest:
                break
        for hook in config["post-hook"]:
            sql = hook["sql"].replace("{{ this }}", statement.relation)
            db.execute(re.sub(r"\{\{ ref\('(\w+)'\) \}\}", r"intermediate.\1", sql))


def contents(db: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[Any, ...]]]:
    tables = {name: f"from intermediate.{name} order by all" for name in RELATIONS}
    # Not the versions, which are of the statements' text.
    tables["rollup"] = "select * exclude (version) from intermediate.int_usage__rollup order by all"
    for name in MONTHLY:
        tables[name] = f"select * exclude (content_key) from intermediate.{name} order by all"
    return {name: db.execute(sql).fetchall() for name, sql in tables.items()}


# Few ids over few days: most of them come again, within late_arrival_days or after.
clicks = st.fixed_dictionaries(
    {
        "number": st.integers(1, 4),
        # Some of a month that closed too long ago for a new day to touch it.
        "days_late": st.sampled_from([*range(6), 90, 150, 180]),
        "hour": st.integers(0, 23),
        "user_id": st.sampled_from(["u1", "u2", None]),
        "session_id": st.sampled_from([None, "s"]),
        "event_name": st.sampled_from(["click", "login", "report_created"]),
        "feature": st.sampled_from([None, "reports"]),
    }
)
# Each night extracts a few landing days, in any order: new ones, older ones, ones that it knew.
nights = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 6).map(lambda n: FIRST + timedelta(n)), st.lists(clicks, max_size=4)
        ),
        min_size=1,
        max_size=3,
    ),
    min_size=2,
    max_size=4,
)


def delivered(day: date, drawn: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = {
        row["number"]: click(
            row["number"],
            day - timedelta(row["days_late"]),
            row["hour"],
            **{name: row[name] for name in ("user_id", "session_id", "event_name", "feature")},
        )
        for row in drawn
    }
    return list(rows.values())


@settings(max_examples=15, deadline=None)
@given(nights=nights)
def test_nights_in_any_order_leave_the_rollup_of_one_build(
    nights: list[list[tuple[date, list[dict[str, Any]]]]],
    compile_models: CompileModels,
    incremental_models: Models,
    manifest: Mapping[str, Any],
) -> None:
    raw, at_once = Raw(), compile_models(Policies(), RELATIONS)
    nothing = World(FIRST)
    with closing(at_once.build(nothing, lake__extractions=[])) as db:
        for night in nights:
            for day, drawn in night:
                raw.extract(day, delivered(day, drawn))
            run_night(db, incremental_models, raw, manifest)
        found = contents(db)
    with closing(at_once.build(nothing, **raw.tables())) as db:
        assert found == contents(db)
