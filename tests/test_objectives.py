"""Objectives against actuals: attainment, pace, status, versions, and orphans on either side."""

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import oracle
import pytest
from models import REVENUE_ONLY, CompileModels, Models, rows_of
from oracle import Policies, World
from rows import account, subscription

JANUARY, FEBRUARY, MARCH = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)
# At the close of January 400 MRR of 4 accounts, of February 300 of 3; a fourth of March has passed.
WORLD = World(
    date(2024, 3, 8),
    accounts=[account(f"A{n}", segment="small" if n else "large") for n in range(4)],
    subscriptions=[
        subscription(f"S{n}", date(2024, 1, 3), date(2024, 2, 9) if n == 3 else None,
                     account_id=f"A{n}")
        for n in range(4)
    ],
)  # fmt: skip
NAMES = (
    "mart_objective_attainment",
    "assert_objectives_name_registered_metrics",
    "warn_objectives_and_investments_of_unknown_segments",
)


def objective(metric: str = "mrr", segment: str = "all", **columns: Any) -> dict[str, Any]:
    return {
        "objective_id": "O",
        "metric_name": metric,
        "segment": segment,
        "direction": "increase",
        "baseline": None,
        "target": 100.0,
        "period_grain": "month",
        "valid_from": JANUARY,
        "valid_to": None,
        "owner": "somebody",
    } | columns


@pytest.fixture(scope="module")
def models(compile_models: CompileModels) -> Models:
    return compile_models(Policies(), NAMES, metrics=REVENUE_ONLY)


def graded(models: Models, *objectives: dict[str, Any]) -> list[dict[str, Any]]:
    with closing(models.build(WORLD, seeds__objectives=objectives)) as database:
        return rows_of(database, "mart_objective_attainment")


def of_objective(rows: list[dict[str, Any]], period: date) -> dict[str, Any]:
    [row] = [row for row in rows if row["objective_id"] == "O" and row["period_start"] == period]
    return row


@pytest.mark.parametrize(
    ("columns", "attainment", "status"),
    [
        ({"target": 400.0}, 0.75, "off_track"),
        ({"target": 350.0}, 300 / 350, "at_risk"),
        ({"target": 300.0}, 1.0, "on_track"),
        ({"target": 150.0}, 2.0, "on_track"),
        ({"target": 150.0, "direction": "decrease"}, 0.5, "off_track"),
        ({"target": 300.0, "direction": "decrease"}, 1.0, "on_track"),
        ({"target": 330.0, "direction": "decrease"}, 1.1, "on_track"),
        ({"target": 400.0, "baseline": 200.0}, 0.5, "off_track"),
        ({"target": 200.0, "baseline": 400.0, "direction": "decrease"}, 0.5, "off_track"),
        ({"target": 320.0, "baseline": 310.0}, -1.0, "off_track"),
        ({"target": 0.0, "baseline": 600.0, "direction": "decrease"}, 0.5, "off_track"),
    ],
)
def test_attainment_in_a_complete_month(
    models: Models, columns: dict[str, Any], attainment: float, status: str
) -> None:
    row = of_objective(graded(models, objective(**columns)), FEBRUARY)
    assert row["actual"] == 300
    assert math.isclose(row["attainment"], attainment)
    assert row["pace"] == row["attainment"]
    assert row["status"] == status
    assert row["is_met"] == (status == "on_track")
    assert (row["reason_null"], row["orphan_flag"], row["owner"]) == (None, None, "somebody")


@pytest.mark.parametrize(
    ("columns", "reason", "status"),
    [
        ({"target": 0.0}, "zero_target", "on_track"),
        ({"target": 0.0, "direction": "decrease"}, "zero_target", "off_track"),
        ({"target": -1.0}, "negative_target", "on_track"),
        ({"target": 310.0, "baseline": 310.0}, "target_is_baseline", "off_track"),
        (
            {"metric_name": "seat_churn_rate", "segment": "large", "direction": "decrease"},
            "zero_actual",
            "on_track",
        ),
    ],
)
def test_what_cannot_be_divided_has_no_attainment_but_is_met_or_not(
    models: Models, columns: dict[str, Any], reason: str, status: str
) -> None:
    row = of_objective(graded(models, objective(**columns)), FEBRUARY)
    assert (row["attainment"], row["pace"], row["reason_null"]) == (None, None, reason)
    assert (row["status"], row["is_met"]) == (status, status == "on_track")
    assert row["orphan_flag"] is None


def test_pace_is_attainment_over_the_share_of_the_month_that_has_passed(models: Models) -> None:
    row = of_objective(graded(models, objective(target=1200.0)), MARCH)
    assert (row["actual"], row["attainment"], row["is_complete_period"]) == (300, 0.25, False)
    assert row["share_elapsed"] == 8 / 31
    assert math.isclose(row["pace"], 0.25 * 31 / 8)
    assert (row["status"], row["is_met"]) == ("at_risk", False)


def test_a_month_is_graded_against_the_version_in_force_when_it_opens(models: Models) -> None:
    rows = graded(
        models,
        objective(target=100.0, valid_to=date(2024, 2, 15)),
        objective(target=200.0, valid_from=date(2024, 2, 15)),
    )
    assert [of_objective(rows, month)["target"] for month in (JANUARY, FEBRUARY, MARCH)] == [
        100,
        100,
        200,
    ]
    overlapping = graded(
        models, objective(target=100.0), objective(target=200.0, valid_from=FEBRUARY)
    )
    assert of_objective(overlapping, FEBRUARY)["target"] == 200
    ended = graded(models, objective(valid_to=FEBRUARY))
    assert {row["period_start"] for row in ended if row["objective_id"]} == {JANUARY}


@pytest.mark.parametrize(
    ("metric", "segment", "reason"),
    [
        ("mrr", "nowhere", "no_data"),
        ("not_a_metric", "all", "no_data"),
        ("nrr_12m", "small", "insufficient_history"),
        ("retention_rate", "all", "no_data"),
    ],
)
def test_a_target_without_an_actual_is_reported(
    models: Models, metric: str, segment: str, reason: str
) -> None:
    row = of_objective(graded(models, objective(metric, segment)), FEBRUARY)
    assert (row["orphan_flag"], row["status"]) == ("target_without_actual", "no_data")
    assert (row["actual"], row["attainment"], row["is_met"]) == (None, None, None)
    assert row["reason_null"] == reason


def test_an_actual_without_a_target_is_reported(models: Models) -> None:
    rows = graded(models, objective("mrr", "small", valid_from=FEBRUARY))
    orphans = {
        (row["metric_name"], row["segment"], row["period_start"]): row
        for row in rows
        if row["orphan_flag"] == "actual_without_target"
    }
    assert ("mrr", "small", JANUARY) in orphans
    assert ("mrr", "small", FEBRUARY) not in orphans
    assert ("mrr", "all", FEBRUARY) in orphans
    assert orphans["arpa", "large", FEBRUARY]["actual"] == 100
    assert {row["status"] for row in orphans.values()} == {"no_target"}
    assert {row["reason_null"] for row in orphans.values()} == {"no_target"}
    assert not {key for key, row in orphans.items() if row["actual"] is None}


def expected_rows(objectives: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Targets and actuals of closing MRR and accounts, joined and graded in plain Python."""
    actuals: dict[tuple[Any, ...], float] = {}
    for row in oracle.mrr_bridge(oracle.keep_book(WORLD)):
        if row["slice_dimension"] in ("total", "segment"):
            where = (row["slice_value"], row["period_start"])
            actuals["mrr", *where] = float(row["closing_mrr"])
            actuals["paying_accounts", *where] = float(row["closing_accounts"])
    targets: dict[tuple[Any, ...], dict[str, Any]] = {}
    for version in sorted(objectives, key=lambda row: row["valid_from"]):
        for month in (JANUARY, FEBRUARY, MARCH):
            if version["valid_from"] <= month < (version["valid_to"] or date.max):
                names = (version["objective_id"], version["metric_name"], version["segment"])
                targets[(*names, month)] = version
    targeted = {key[1:] for key in targets}
    rows: dict[tuple[Any, ...], dict[str, Any]] = {
        (None, *key): {"actual": value} for key, value in actuals.items() if key not in targeted
    }
    for key, version in targets.items():
        actual, target, baseline = actuals[key[1:]], version["target"], version["baseline"]
        month = key[3]
        length = ((month + timedelta(31)).replace(day=1) - month).days
        if baseline is not None:
            attainment = (actual - baseline) / (target - baseline)
        elif version["direction"] == "increase":
            attainment = actual / target
        else:
            attainment = target / actual
        elapsed = min(1.0, ((WORLD.as_of - month).days + 1) / length)
        rows[key] = {"actual": actual, "attainment": attainment, "pace": attainment / elapsed}
    return rows


def test_a_segment_that_is_called_all_is_not_the_whole(models: Models) -> None:
    accounts = [account("A0", segment="all"), *WORLD.accounts[1:]]
    with closing(
        models.build(replace(WORLD, accounts=accounts), seeds__objectives=[objective()])
    ) as database:
        rows = rows_of(database, "mart_objective_attainment")
    assert of_objective(rows, JANUARY)["actual"] == 400
    keys = [(row["metric_name"], row["segment"], row["period_start"]) for row in rows]
    assert len(keys) == len(set(keys))


def test_the_mart_agrees_with_plain_python(models: Models) -> None:
    objectives = [
        objective("mrr", "all", objective_id="one", target=500.0, valid_to=MARCH),
        objective("mrr", "all", objective_id="one", target=450.0, valid_from=MARCH),
        objective("mrr", "small", objective_id="two", target=250.0, baseline=100.0),
        objective("mrr", "small", objective_id="three", target=250.0, valid_from=date(2024, 1, 2)),
        objective("paying_accounts", "large", objective_id="four", direction="decrease"),
    ]
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {
        tuple(row[name] for name in ("objective_id", "metric_name", "segment", "period_start")): row
        for row in graded(models, *objectives)
        if row["metric_name"] in ("mrr", "paying_accounts")
    }
    expected = expected_rows(objectives)
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        for column, value in row.items():
            assert math.isclose(found[key][column], value), (key, column)


def test_a_misspelt_metric_fails_and_a_misspelt_segment_warns(models: Models) -> None:
    objectives = [objective("nrr", "all"), objective("mrr", "smal"), objective("nrr_1m", "small")]
    with closing(models.build(WORLD, seeds__objectives=objectives)) as database:
        broken = models.broken_identities(database)
    assert [row[1] for row in broken["assert_objectives_name_registered_metrics"]] == ["nrr"]
    assert ("objective", "O", "smal") in broken[
        "warn_objectives_and_investments_of_unknown_segments"
    ]


def test_the_objectives_that_are_shipped_are_about_metrics_that_exist(models: Models) -> None:
    with closing(models.build(WORLD)) as database:
        broken = models.broken_identities(database)
    assert "assert_objectives_name_registered_metrics" not in broken
