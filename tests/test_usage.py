"""Usage: the rollup and the marts over it, compiled SQL against plain Python."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from typing import Any

import duckdb
import oracle_usage as oracle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import CompileModels, Models
from oracle import Policies, Row, World
from oracle_usage import Rules, event
from worked_examples import account, subscription

MARTS = (
    "mart_usage_account_day",
    "mart_usage_engagement",
    "mart_usage_active_days",
    "mart_usage_lifecycle",
    "mart_usage_retention",
    "mart_usage_before_churn",
    "int_usage__slice_months",
    "int_usage__account_months",
    "int_usage__user_day_events",
    "int_onboarding__occurrences",
    "assert_usage_states_partition_the_accounts",
)
AS_OF = date(2024, 5, 16)
DEFAULTS = Rules()
RETENTION = {"usage_retention_days": 40, "usage_retention_brackets": "0, 1, 7, 14, 28, 56, 112"}
BRACKETS = (0, 1, 7, 14, 28, 56, 112)


def usage_models(compile_models: CompileModels, rules: Rules = DEFAULTS) -> Models:
    given_rules = asdict(rules)
    policies = Policies(reporting_timezone=given_rules.pop("reporting_timezone"))
    return compile_models(policies, MARTS, **given_rules, **RETENTION)


def at(day: date, hour: int = 12, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute))


def landed(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows without a landing day of their own landed on the day they happened."""
    return [{"landing_date": row["occurred_at"].date(), **row} for row in rows]


def same(found: Sequence[Row], expected: Sequence[Row]) -> None:
    """The same rows in the columns that `expected` has, whatever their order."""
    assert bool(found) == bool(expected)
    names = sorted(expected[0]) if expected else []
    assert sorted(repr([row[name] for name in names]) for row in found) == sorted(
        repr([row[name] for name in names]) for row in expected
    )


def rows(database: duckdb.DuckDBPyConnection, relation: str) -> list[dict[str, Any]]:
    found = database.sql(f"from {relation}")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


DAYS = [AS_OF - timedelta(days=back) for back in range(70)]
event_rows = st.builds(
    lambda number, account_id, user, day, minute, **columns: event(
        f"E{number}",
        at(day, 0) + timedelta(minutes=minute),
        account_id=account_id,
        user_id=user and f"{account_id}-{user}",
        **columns,
    ),
    st.integers(0, 30),
    st.sampled_from(["A", "B", "C", "unheard-of"]),
    st.sampled_from(["u1", "u2", None]),
    st.sampled_from(DAYS),
    st.sampled_from([0, 10, 25, 300, 1430, 1439]),
    event_name=st.sampled_from(["login", "report_created", "click"]),
    feature=st.sampled_from(["reports", "alerts", None]),
    session_id=st.sampled_from(["s1", "s2", None]),
    duration_seconds=st.sampled_from([None, None, 0.0, 30.5, 86400.0]),
)


@st.composite
def deliveries(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events with their landing days: late, delivered again, and changed when delivered again."""
    found = {}
    for row in draw(st.lists(event_rows, max_size=40)):
        lag = draw(st.sampled_from([0, 0, 0, 1, 2, 5]))
        day = row["occurred_at"].date() + timedelta(days=lag)
        found[row["event_id"], day] = {**row, "landing_date": day}
    return list(found.values())


ACCOUNTS = [
    account("A", signed_up_at=datetime(2024, 1, 5), segment="mid"),
    account("B", signed_up_at=datetime(2024, 4, 20, 3), segment="small"),
    account("C", signed_up_at=datetime(2024, 5, 1), segment="small", country=None),
]
rule_sets = st.sampled_from(
    [
        Rules(),
        Rules(late_arrival_days=0, reporting_timezone="America/New_York", week_start="sunday"),
        Rules(active_events="report_created, click", max_minutes_per_user_day=60),
        Rules(late_arrival_days=5, reporting_timezone="Asia/Kolkata", session_idle_minutes=5),
    ]
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=deliveries(), rules=rule_sets)
def test_usage_equals_a_count_by_hand(
    compile_models: CompileModels, events: list[dict[str, Any]], rules: Rules
) -> None:
    models = usage_models(compile_models, rules)
    world = World(AS_OF, accounts=ACCOUNTS, subscriptions=[subscription("S", date(2024, 2, 1))])
    counted = oracle.counted(events, AS_OF, rules)
    with closing(models.build(world, product__events=events)) as database:
        same(rows(database, "intermediate.int_usage__user_days"), oracle.user_days(counted, rules))
        same(
            rows(database, "intermediate.int_usage__account_days"),
            oracle.account_days(counted, rules),
        )
        same(
            rows(database, "intermediate.int_usage__user_day_events"),
            oracle.user_day_events(counted),
        )
        same(
            rows(database, "intermediate.int_usage__account_day_features"),
            oracle.account_day_features(counted),
        )
        same(
            rows(database, "intermediate.int_usage__account_months"),
            oracle.account_months(counted, rules),
        )
        occurrences = database.sql(
            "select account_id, event_name, occurrence_id, landing_date"
            " from intermediate.int_onboarding__occurrences where source = 'event'"
        ).fetchall()
        assert set(occurrences) == oracle.first_occurrences(
            counted, {"login": 1, "report_created": 1}
        )
        engagement_equals(database, counted, rules)
        buckets_equal(database, counted, rules)
        retention_equals(database, counted, rules)
        lifecycle_equals(database, counted, rules)
        assert models.broken_identities(database) == {}


def engagement_equals(
    database: duckdb.DuckDBPyConnection, counted: Sequence[Row], rules: Rules
) -> None:
    found = {
        (row["slice_value"], row["period_start"]): row
        for row in rows(database, "marts.mart_usage_engagement")
        if row["slice_dimension"] in ("total", "segment")
    }
    slices = {"all": None, "mid": {"A"}, "small": {"B", "C"}}
    if any(row["account_id"] == "unheard-of" for row in counted):
        slices["unknown"] = {"unheard-of"}
    expected = {
        (value, day): row
        for value, accounts in slices.items()
        for day, row in oracle.engagement(counted, AS_OF, rules, accounts).items()
    }
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert {name: found[key][name] for name in row} == row, key
        dau, mau = row["dau"], row["mau"]
        assert found[key]["stickiness"] == (dau / mau if mau else None)
        assert found[key]["average_stickiness"] == (
            pytest.approx(row["active_user_days_30d"] / 30 / mau) if mau else None
        )
        assert found[key]["reason_null"] == (None if mau else "no_active_users")


def buckets_equal(
    database: duckdb.DuckDBPyConnection, counted: Sequence[Row], rules: Rules
) -> None:
    found = {
        (row["period_grain"], row["period_start"], row["active_days"]): (
            row["users_exactly"],
            row["users_at_least"],
        )
        for row in rows(database, "marts.mart_usage_active_days")
        if row["slice_dimension"] == "total"
    }
    assert found == oracle.active_day_buckets(counted, rules)


def retention_equals(
    database: duckdb.DuckDBPyConnection, counted: Sequence[Row], rules: Rules
) -> None:
    found = rows(database, "marts.mart_usage_retention")
    cells = oracle.retention(counted, AS_OF, rules, 40, BRACKETS)
    assert {
        (row["cohort_start"], row["kind"], row["age_days"]): (
            row["users_eligible"],
            row["users_returned"],
        )
        for row in found
        if row["cohort_grain"] == "week"
    } == cells
    averages = {
        (row["kind"], row["age_days"]): row["retention_rate"]
        for row in found
        if row["cohort_grain"] == "all"
    }
    assert averages.keys() == {(kind, age) for _, kind, age in cells}
    for (kind, age), rate in averages.items():
        mature = [cell for (_, *key), cell in cells.items() if tuple(key) == (kind, age)]
        eligible, returned = map(sum, zip(*mature, strict=True))
        assert rate == pytest.approx(returned / eligible)


def lifecycle_equals(
    database: duckdb.DuckDBPyConnection, counted: Sequence[Row], rules: Rules
) -> None:
    states = oracle.lifecycle(counted, ACCOUNTS, AS_OF, rules)
    found = rows(database, "intermediate.int_usage__account_states")
    assert {
        (row["period_grain"], row["period_start"], row["account_id"]): row["state"] for row in found
    } == {
        (*period, account_id): state
        for period, of_accounts in states.items()
        for account_id, state in of_accounts.items()
    }
    for row in rows(database, "marts.mart_usage_lifecycle"):
        if row["slice_dimension"] == "total":
            of_accounts = states[row["period_grain"], row["period_start"]].values()
            for state in set(of_accounts):
                assert row[f"{state}_accounts"] == list(of_accounts).count(state)
            assert row["accounts"] == len(of_accounts)
