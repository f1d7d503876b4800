"""Usage: the rollup and the marts over it, compiled SQL against plain Python."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import oracle_usage as oracle
import pytest
import ravenstack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import CompileModels, Models
from oracle import Policies, Row, World
from oracle_usage import Rules
from program import land
from rows import account, event, subscription, ticket

from dagster_project.core.exports import load_exports
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import Lake
from dagster_project.core.staleness import Rules as ExportRules
from dagster_project.settings import STAGING_DIR

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
EXPORTS = load_exports(STAGING_DIR)
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


DAYS = [AS_OF - timedelta(days=back) for back in (*range(60), 75, 90, 120, 130)]
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
SUBSCRIPTIONS = [
    subscription("S-A", date(2024, 1, 2)),
    subscription("S-B", date(2024, 1, 10), date(2024, 4, 20), account_id="B"),
    subscription("S-C", date(2024, 2, 5), date(2024, 3, 2), account_id="C"),
    subscription("S-C", date(2024, 4, 1), account_id="C"),
]
rule_sets = st.sampled_from(
    [
        Rules(),
        Rules(late_arrival_days=0, reporting_timezone="America/New_York", week_start="sunday"),
        Rules(active_events="report_created, click", max_minutes_per_user_day=60),
        Rules(late_arrival_days=5, reporting_timezone="Asia/Kolkata", session_idle_minutes=5),
    ]
)


def test_an_event_may_hold_an_apostrophe(compile_models: CompileModels) -> None:
    names = {"login_event": "it's me", "key_event": "it's done"}
    models = compile_models(Policies(), ("int_usage__account_days",), **names)
    events = landed([event("E", at(AS_OF, 9), event_name="it's done")])
    with closing(models.build(World(AS_OF, accounts=ACCOUNTS), product__events=events)) as database:
        [day] = rows(database, "intermediate.int_usage__account_days")
    assert (day["logins"], day["key_actions"]) == (0, 1)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=deliveries(), rules=rule_sets)
def test_usage_equals_a_count_by_hand(
    compile_models: CompileModels, events: list[dict[str, Any]], rules: Rules
) -> None:
    models = usage_models(compile_models, rules)
    world = World(AS_OF, accounts=ACCOUNTS, subscriptions=SUBSCRIPTIONS)
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
            "select account_id, event_name, occurrence_id, occurred_at"
            " from intermediate.int_onboarding__occurrences where source = 'event'"
        ).fetchall()
        assert set(occurrences) == oracle.first_occurrences(counted)
        engagement_equals(database, counted, rules)
        buckets_equal(database, counted, rules)
        retention_equals(database, counted, rules)
        lifecycle_equals(database, counted, rules)
        before_churn_equals(database, counted, rules)
        assert models.broken_identities(database) == {}


def test_the_nth_event_of_an_account_is_told_whoever_did_it_and_on_whatever_day(
    compile_models: CompileModels,
) -> None:
    times = [at(AS_OF, 9), at(AS_OF, 10), at(DAYS[0], 8), at(AS_OF, 9), at(AS_OF, 11)]
    events = [
        event(f"E{number}", when, user_id=user, event_name="order_placed", landing_date=AS_OF)
        for number, (when, user) in enumerate(
            zip(times, ["u1", "u1", "u2", None, "u2"], strict=True)
        )
    ]
    # A rule asks for logins, no milestone does.
    events.append(event("E9", at(DAYS[0], 7), user_id="u1", event_name="login", landing_date=AS_OF))
    asked = {"event_name": "order_placed", "target_days": 30, "is_required": False}
    milestones = [
        {"milestone": f"order_{nth}", "source": "event", "nth": nth, **asked} for nth in (2, 4)
    ]
    models = usage_models(compile_models)
    rows_given = {"product__events": events, "seeds__onboarding_milestones": milestones}
    with closing(models.build(World(AS_OF, accounts=ACCOUNTS), **rows_given)) as database:
        found = database.sql(
            "select occurrence_id, occurred_at from intermediate.int_onboarding__occurrences"
            " order by occurrence_id"
        ).fetchall()
        told = database.sql(
            "select event_name, min(first_event_date), bool_and(first_occurred_at is null)"
            " from intermediate.int_usage__month_rollup where grain = 'event' group by all"
        ).fetchall()
    assert sorted(told) == [("login", DAYS[0], True), ("order_placed", DAYS[0], False)]
    assert found == [(str(place), when) for place, when in enumerate(sorted(times)[:4], start=1)]


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


def before_churn_equals(
    database: duckdb.DuckDBPyConnection, counted: Sequence[Row], rules: Rules
) -> None:
    zone = rules.reporting_timezone
    known_from = {
        row["account_id"]: oracle.local_day(row["started_at"], zone) for row in SUBSCRIPTIONS[:3]
    }
    months = rows(database, "intermediate.int_revenue__account_months")
    expected = oracle.before_churn(counted, months, known_from, AS_OF)
    found = {
        (row["tenure_band"], row["outcome"], row["months_before"]): row
        for row in rows(database, "marts.mart_usage_before_churn")
    }
    assert found.keys() == expected.keys()
    for key, sums in expected.items():
        assert {name: found[key][name] for name in sums} == sums, key
        observations = sums.get("observations", 0)
        assert found[key]["reason_null"] == (None if observations else "no_data")
        assert found[key]["is_small_sample"] == (observations < 5)


# ------------------------------------------------------------------------------ worked examples


def built(
    compile_models: CompileModels,
    events: Sequence[Row],
    as_of: date = AS_OF,
    world: World | None = None,
    **exports: Any,
) -> duckdb.DuckDBPyConnection:
    given_world = world or World(as_of, accounts=[account("A")])
    return usage_models(compile_models).build(
        given_world, product__events=landed(events), **exports
    )


def clicks(user_id: str, *days: date, **columns: Any) -> list[dict[str, Any]]:
    return [event(f"{user_id}-{day}", at(day), user_id=user_id, **columns) for day in days]


def cell(database: duckdb.DuckDBPyConnection, mart: str, **where: Any) -> dict[str, Any] | None:
    """The one row of a mart with these values; None if there is none."""
    found = [
        row
        for row in rows(database, f"marts.{mart}")
        if all(row[name] == value for name, value in where.items())
    ]
    assert len(found) <= 1
    return found[0] if found else None


def test_example_46_one_day_in_week_one_and_three_in_week_two_count_in_both_buckets(
    compile_models: CompileModels,
) -> None:
    first, second = date(2024, 4, 29), date(2024, 5, 6)
    days = [first + timedelta(2), second, second + timedelta(1), second + timedelta(6)]
    with closing(built(compile_models, clicks("u1", *days))) as database:
        for week, active_days in ((first, 1), (second, 3)):
            for bucket in range(1, 8):
                row = cell(
                    database,
                    "mart_usage_active_days",
                    period_grain="week",
                    period_start=week,
                    slice_dimension="total",
                    active_days=bucket,
                )
                assert row is not None
                assert row["users_exactly"] == (bucket == active_days)
                assert row["users_at_least"] == (bucket <= active_days)


def test_example_47_one_return_on_day_two_is_retained_on_days_0_1_and_2_and_no_later(
    compile_models: CompileModels,
) -> None:
    start = date(2024, 4, 1)
    with closing(built(compile_models, clicks("u1", start, start + timedelta(2)))) as database:
        for age, is_retained in ((0, 1), (1, 1), (2, 1), (3, 0)):
            row = cell(
                database,
                "mart_usage_retention",
                kind="on_or_after",
                age_days=age,
                cohort_start=start,
            )
            assert row is not None
            assert (row["users_eligible"], row["users_returned"]) == (1, is_retained)


def test_example_40_a_cohort_that_nobody_came_back_from_halves_the_average(
    compile_models: CompileModels,
) -> None:
    weeks = date(2024, 4, 1), date(2024, 4, 8)
    events = [row for n in range(8) for row in clicks(f"u{n}", weeks[n % 2])]
    events += clicks("u1", weeks[1] + timedelta(3))
    with closing(built(compile_models, events)) as database:
        where = {"kind": "bracket", "age_days": 1}
        by_week = [
            cell(database, "mart_usage_retention", cohort_start=week, **where) for week in weeks
        ]
        assert [row and row["retention_rate"] for row in by_week] == [0.0, 0.25]
        average = cell(database, "mart_usage_retention", cohort_grain="all", **where)
        assert average is not None
        assert average["retention_rate"] == 0.125


def test_example_41_weeks_9_to_16_of_a_cohort_of_1_february_are_in_progress_and_not_zero(
    compile_models: CompileModels,
) -> None:
    events = clicks("u1", date(2024, 2, 1))
    where = {"kind": "bracket", "cohort_start": date(2024, 1, 29)}
    with closing(built(compile_models, events, date(2024, 5, 16))) as database:
        assert cell(database, "mart_usage_retention", age_days=56, **where) is None
        before = cell(database, "mart_usage_retention", age_days=28, **where)
        assert before is not None
        assert before["retention_rate"] == 0.0
    # 112 days after the last day of the cohort's week, it is over.
    with closing(built(compile_models, events, date(2024, 5, 25))) as database:
        over = cell(database, "mart_usage_retention", age_days=56, **where)
        assert over is not None
        assert over["retention_rate"] == 0.0


def test_fault_6_users_younger_than_28_days_are_not_told_as_lost_at_day_28(
    compile_models: CompileModels,
) -> None:
    young, old = date(2024, 4, 22), date(2024, 4, 8)
    events = clicks("young", young) + clicks("old", old, old + timedelta(28))
    with closing(built(compile_models, events)) as database:
        cells = [
            (row["cohort_start"], row["users_eligible"], row["users_returned"])
            for row in rows(database, "marts.mart_usage_retention")
            if row["kind"] == "on" and row["age_days"] == 28
        ]
    assert set(cells) == {(old, 1, 1), (None, 1, 1)}


def test_fault_5_use_before_churn_is_neither_lost_nor_multiplied_by_tickets(
    compile_models: CompileModels,
) -> None:
    # Ends without a follow-up, uses the product in months without tickets, and asks often in one.
    events = [
        *clicks("u1", *(date(2024, 1, 1) + timedelta(days=10 * n) for n in range(10))),
        event("other", at(date(2023, 11, 1)), account_id="B"),
    ]
    world = World(
        AS_OF,
        accounts=[account("A"), account("B")],
        subscriptions=[
            subscription("S", date(2023, 12, 1), date(2024, 4, 10)),
            subscription("T", date(2023, 12, 1), account_id="B"),
        ],
    )
    tickets = [ticket(f"T{n}", datetime(2024, 3, 5 + n)) for n in range(5)]
    with closing(built(compile_models, events, world=world, support__tickets=tickets)) as database:
        churned = {
            row["months_before"]: (row["observations"], row["events_28d"])
            for row in rows(database, "marts.mart_usage_before_churn")
            if row["outcome"] == "churned"
        }
    # In the 28 days up to the close of March three, of February two, of January three.
    assert churned == {1: (1, 3), 2: (1, 2), 3: (1, 3)}


def test_use_before_churn_looks_at_closes_that_were_paid_alone(
    compile_models: CompileModels,
) -> None:
    world = World(
        AS_OF,
        accounts=[account("A")],
        subscriptions=[
            subscription("S", date(2023, 6, 1), date(2023, 9, 10)),
            subscription("S", date(2024, 2, 5), date(2024, 4, 10)),
        ],
    )
    events = clicks("u1", date(2023, 6, 2), date(2024, 2, 20), date(2024, 3, 20))
    with closing(built(compile_models, events, world=world)) as database:
        again = {
            row["months_before"]: (row["account_months"], row["events_28d"])
            for row in rows(database, "marts.mart_usage_before_churn")
            if row["outcome"] == "churned" and row["tenure_band"] == "7-12"
        }
    # Left in April: March and February were paid, January was not.
    assert again == {1: (1, 1), 2: (1, 1)}


# ------------------------------------------------------------------------- what is not told, or bad


def test_without_an_export_of_usage_every_mart_is_empty(compile_models: CompileModels) -> None:
    world = World(AS_OF, accounts=ACCOUNTS, subscriptions=SUBSCRIPTIONS)
    with closing(usage_models(compile_models).build(world)) as database:
        for mart in MARTS:
            if mart.startswith("mart_") and mart != "mart_usage_before_churn":
                assert rows(database, f"marts.{mart}") == [], mart
        # What ended in churn is known, what it had used is not.
        for row in rows(database, "marts.mart_usage_before_churn"):
            assert (row["observations"], row["mean_events_28d"]) == (0, None)
            assert row["reason_null"] == "no_data"


def test_an_account_that_used_nothing_counts_as_none_and_not_as_unknown(
    compile_models: CompileModels,
) -> None:
    world = World(AS_OF, accounts=ACCOUNTS[:1], subscriptions=SUBSCRIPTIONS[:1])
    events = [event("E", at(date(2024, 1, 1)), account_id="B")]
    with closing(built(compile_models, events, world=world)) as database:
        windows = {
            row["period_start"]: (row["events_28d"], row["days_since_last_event"])
            for row in rows(database, "intermediate.int_usage__account_windows")
            if row["account_id"] == "A"
        }
    assert windows[date(2024, 4, 1)] == (0, None)


def test_the_last_event_is_known_before_a_window_of_use_is(compile_models: CompileModels) -> None:
    world = World(AS_OF, accounts=ACCOUNTS[:2], subscriptions=SUBSCRIPTIONS)
    events = [event("E", at(AS_OF - timedelta(5)), account_id="A")]
    with closing(built(compile_models, events, world=world)) as database:
        windows = {
            row["account_id"]: (row["events_28d"], row["minutes_28d"], row["days_since_last_event"])
            for row in rows(database, "intermediate.int_usage__account_windows")
            if row["period_start"] == AS_OF.replace(day=1)
        }
        measured = rows(database, "intermediate.int_usage__slice_months")
    assert windows == {"A": (None, None, 5), "B": (None, None, None), "C": (None, None, None)}
    assert {row["known_accounts"] for row in measured} == {None}


def test_events_without_a_user_count_for_the_account_and_for_nobody(
    compile_models: CompileModels,
) -> None:
    events = [event("E", at(AS_OF), user_id=None), event("F", at(AS_OF), account_id="stranger")]
    with closing(built(compile_models, events)) as database:
        row = cell(database, "mart_usage_engagement", slice_dimension="total", period_start=AS_OF)
        assert row is not None
        assert (row["dau"], row["daily_active_accounts"]) == (1, 2)
        unknown = cell(
            database,
            "mart_usage_engagement",
            slice_dimension="segment",
            slice_value="unknown",
            period_start=AS_OF,
        )
        assert unknown is not None
        assert unknown["dau"] == 1


@pytest.mark.parametrize(("zone", "on_the_day"), [("UTC", 8), ("Asia/Tokyo", 5)])
def test_seats_are_those_paid_for_at_the_end_of_the_day(
    compile_models: CompileModels, zone: str, on_the_day: int
) -> None:
    """What changes at 18:00 UTC changes on the next day in Tokyo."""
    change = datetime(2024, 5, 10, 18)
    world = World(
        AS_OF,
        accounts=[account("A")],
        subscriptions=[
            subscription("S", date(2024, 5, 1), change, quantity=5),
            subscription("S", change, quantity=8),
        ],
    )
    days = [date(2024, 4, 30), date(2024, 5, 1), date(2024, 5, 9), date(2024, 5, 10), AS_OF]
    models = usage_models(compile_models, Rules(reporting_timezone=zone))
    with closing(models.build(world, product__events=landed(clicks("u1", *days)))) as database:
        seats = {
            row["period_start"]: row["licensed_users"]
            for row in rows(database, "marts.mart_usage_account_day")
        }
    assert seats == dict(zip(days, (0, 5, 5, on_the_day, 8), strict=True))


def test_time_of_two_users_is_capped_for_each_and_that_of_nobody_is_not(
    compile_models: CompileModels,
) -> None:
    whole_day = 86_400.0
    events = [
        event(f"E{number}", at(AS_OF, number), user_id=user_id, duration_seconds=whole_day)
        for number, user_id in enumerate(["u1", "u1", "u2", None, None])
    ]
    with closing(built(compile_models, events)) as database:
        [row] = rows(database, "marts.mart_usage_account_day")
    assert row["minutes"] == 4 * 1440


@pytest.mark.parametrize("seconds", [-1, -0.001, 86_400.5])
def test_a_duration_that_no_day_holds_is_rejected(tmp_path: Path, seconds: float) -> None:
    lake, export = Lake(tmp_path), EXPORTS["product/events"]
    good = [event(f"E{n}", at(AS_OF), duration_seconds=n * 8640.0) for n in range(11)]
    bad = event("bad", at(AS_OF), duration_seconds=seconds)
    land(tmp_path, "product/events", AS_OF, [*good, bad], "parquet")
    with Extractor(
        lake, ExportRules(first_day=date(2020, 1, 1), max_reject_share=0.5)
    ) as extractor:
        line = extractor.extract_day(export, AS_OF)
    assert (line.rows_accepted, line.rows_rejected) == (11, 1)
    with duckdb.connect() as db:
        rejects = db.read_parquet(str(lake.rejects_day("product", "events", AS_OF))).fetchall()
    assert [reason for _, _, reason, _ in rejects] == ["out_of_range: duration_seconds"]


# -------------------------------------------------------------------------------------- RavenStack


@pytest.mark.skipif(ravenstack.folder() is None, reason="REFERENCE_DATA is not set")
def test_ravenstack_usage_per_account_month_equals_a_count_of_its_rows(
    compile_models: CompileModels,
) -> None:
    owners = {row["subscription_id"]: row["account_id"] for row in ravenstack.read("subscriptions")}
    events: Counter[Any] = Counter()
    seconds: Counter[Any] = Counter()
    days: dict[Any, set[date]] = defaultdict(set)
    features: dict[Any, set[str]] = defaultdict(set)
    for row in ravenstack.read("feature_usage"):
        day = date.fromisoformat(row["usage_date"])
        key = owners[row["subscription_id"]], day.replace(day=1)
        events[key] += int(row["usage_count"])
        seconds[key] += int(row["usage_duration_secs"])
        if int(row["usage_count"]):
            days[key].add(day)
            features[key].add(row["feature_name"])
    exports = {
        f"ravenstack__{name}": ravenstack.raw(name)
        for name in ("accounts", "subscriptions", "feature_usage")
    }
    models = usage_models(compile_models)
    with closing(models.build(World(ravenstack.AS_OF), **exports)) as database:
        found = {
            (row["account_id"], row["period_start"]): row
            for row in rows(database, "intermediate.int_usage__account_months")
        }
        assert found.keys() == events.keys()
        for key, month in found.items():
            assert month["events"] == events[key]
            assert month["active_days"] == len(days[key])
            assert month["features_used"] == len(features[key])
            assert float(month["minutes"]) == pytest.approx(seconds[key] / 60, abs=1e-4)
        outside = database.sql(
            "select count(*) from intermediate.int_usage__feature_usage"
            " where not is_within_subscription"
        ).fetchall()
        assert outside == [(19_432,)]
        # It tells of no users: accounts are counted, and nobody is invented.
        newest = cell(
            database,
            "mart_usage_engagement",
            slice_dimension="total",
            period_start=ravenstack.AS_OF,
        )
        assert newest is not None
        assert (newest["mau"], newest["stickiness"]) == (0, None)
        assert newest["reason_null"] == "no_active_users"
        recent = {
            owners[row["subscription_id"]]
            for row in ravenstack.read("feature_usage")
            if row["usage_date"] > "2024-12-01" and int(row["usage_count"])
        }
        assert newest["monthly_active_accounts"] == len(recent)
        assert models.broken_identities(database) == {}
