"""The rollup night by night: what it keeps equals what all files at once would give.

dbt builds a warehouse over files that land, land late, come again and are replaced; after every
night the whole of it is held against plain Python that has seen the files alone.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import oracle_usage as oracle
from oracle_usage import Rules, event
from program import land
from worked_examples import account

from dagster_project.core.exports import Rules as ExportRules
from dagster_project.core.exports import load_exports, read_ledger, stale_days
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import Lake
from dagster_project.manifest import DBT_EXECUTABLE
from dagster_project.settings import DBT_DIR, STAGING_DIR

EXPORTS = load_exports(STAGING_DIR)
EXPORT_RULES = ExportRules(first_day=date(2020, 1, 1), max_reject_share=0.5)
RELATIONS = (
    "int_usage__user_days",
    "int_usage__user_day_events",
    "int_usage__account_day_features",
    "int_usage__account_days",
    "int_usage__account_months",
    "int_onboarding__occurrences",
)
FIRST, SECOND, THIRD = (date(2024, 3, 5) + timedelta(index) for index in range(3))


class Nights:
    """A data folder; what landed in it is remembered as the rows that the oracle is given."""

    def __init__(self, data_dir: Path) -> None:
        self.lake = Lake(data_dir)
        self.landed: dict[date, Sequence[Mapping[str, Any]]] = {}

    def deliver(self, day: date, events: Sequence[dict[str, Any]]) -> None:
        land(self.lake.root, "product/events", day, list(events), "jsonl.gz")
        land(self.lake.root, "crm/accounts", day, [account("A")], "parquet")
        self.landed[day] = [{**row, "landing_date": day} for row in events]

    def build(self, rules: Rules, as_of: date | None = None) -> None:
        """One night: extract what is new, and build usage."""
        with Extractor(self.lake, EXPORT_RULES) as extractor:
            for export in EXPORTS.values():
                extractor.ensure_empty(export)
                for day in stale_days(export, self.lake, read_ledger(self.lake), EXPORT_RULES):
                    assert extractor.extract_day(export, day).is_ok
        variables = asdict(rules) | {"as_of": as_of and str(as_of)}
        folder = self.lake.root / "dbt"
        done = subprocess.run(
            [
                *(DBT_EXECUTABLE, "--quiet", "build", "--vars", json.dumps(variables)),
                *("--select", *(f"+{name}" for name in RELATIONS)),
                *("--resource-type", "model", "--resource-type", "seed"),
                *("--project-dir", DBT_DIR, "--profiles-dir", DBT_DIR),
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
            names = sorted(expected[0])
            found = self.query(f"select {', '.join(names)} from intermediate.{relation}")
            assert sorted(map(repr, found)) == sorted(
                repr(tuple(row[name] for name in names)) for row in expected
            ), relation
        occurrences = self.query(
            "select account_id, event_name, occurrence_id, landing_date"
            " from intermediate.int_onboarding__occurrences"
        )
        assert set(occurrences) == oracle.first_occurrences(
            counted, {"login": 1, "report_created": 1}
        )


def click(
    number: int, day: date, hour: int = 12, minute: int = 0, **columns: Any
) -> dict[str, Any]:
    return event(f"E{number}", datetime.combine(day, time(hour, minute)), **columns)


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

    # Marks on the days themselves, which no figure reads: they go where a day is computed again.
    nights.query("update intermediate.int_usage__rollup set events = 99 where grain = 'date'")
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
    dates = nights.query("select distinct occurred_date from intermediate.int_usage__rollup")
    assert (ago(40),) not in dates
