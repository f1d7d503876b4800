"""Fit classes and desired outcomes: what an account is by the rules, and what it wanted and got."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import CompileModels, rows_of
from oracle import Policies, Row, World
from rows import account, subscription, ticket

NAMES = (
    "mart_fit_accounts",
    "mart_fit_segments",
    "mart_desired_outcomes",
    "int_accounts__outcome_slice_months",
    "dim_accounts",
)
FIT_TEST = "assert_fit_rules_can_be_read"
AS_OF = date(2024, 3, 31)
CLASSES = [
    {"fit_class": "best_fit", "points_from": 50, "recommended_treatment": "full_service"},
    {"fit_class": "stretch", "points_from": 20, "recommended_treatment": "low_touch"},
    {"fit_class": "bad_fit", "points_from": None, "recommended_treatment": "refer_out"},
    {"fit_class": "unknown", "points_from": None, "recommended_treatment": "find_out"},
]


def rule(rule_id: str, attribute: str, operator: str, value: Any, points: int) -> dict[str, Any]:
    return {
        "rule_id": rule_id,
        "attribute": attribute,
        "operator": operator,
        "value": value,
        "points": points,
    }


RULES = [
    rule("core", "segment", "in", "mid| large", 30),
    rule("size", "employee_count", ">=", "50", 20),
    rule("tiny", "employee_count", "<", "10", -40),
    rule("place", "country", "<>", "US", 5),
]


@contextmanager
def built(
    compile_models: CompileModels, world: World, rules: list[dict[str, Any]], **tables: Any
) -> Iterator[duckdb.DuckDBPyConnection]:
    models = compile_models(Policies(), (*NAMES, FIT_TEST))
    seeds: dict[str, Any] = {"seeds__fit_rules": rules, "seeds__fit_classes": CLASSES}
    with closing(models.build(world, **seeds, **tables)) as database:
        database.execute("create table problems (problem varchar)")
        database.execute(f"insert into problems {models.identities[FIT_TEST]}")
        yield database


def fits(
    compile_models: CompileModels,
    accounts: list[dict[str, Any]],
    rules: list[dict[str, Any]] | None = None,
    subscriptions: list[Row] | None = None,
) -> dict[str, dict[str, Any]]:
    world = World(AS_OF, subscriptions=subscriptions or [], accounts=accounts)
    with built(compile_models, world, RULES if rules is None else rules) as database:
        assert database.execute("from problems").fetchall() == []
        found = rows_of(database, "mart_fit_accounts")
        classes = {row["account_id"]: row["fit_class"] for row in rows_of(database, "dim_accounts")}
    assert classes == {row["account_id"]: row["fit_class"] for row in found}
    return {row["account_id"]: row for row in found}


@pytest.mark.parametrize(
    ("columns", "fit_class", "evidence"),
    [
        ({"segment": "large", "employee_count": 50}, "best_fit", "core +30, place +5, size +20"),
        ({"segment": "large", "employee_count": 49}, "stretch", "core +30, place +5"),
        ({"segment": "small", "employee_count": 9}, "bad_fit", "place +5, tiny -40"),
        ({"segment": "small", "employee_count": 500, "country": "US"}, "stretch", "size +20"),
    ],
)
def test_an_account_is_of_the_class_of_its_points_and_says_why(
    compile_models: CompileModels, columns: dict[str, Any], fit_class: str, evidence: str
) -> None:
    row = fits(compile_models, [account("A", **columns)])["A"]
    assert (row["fit_class"], row["evidence"]) == (fit_class, evidence)
    assert row["fit_points"] == row["least_points"] == row["most_points"]


def test_a_missing_input_makes_unknown_only_where_it_could_change_the_class(
    compile_models: CompileModels,
) -> None:
    found = fits(
        compile_models,
        [
            account("could", segment="large", employee_count=None),
            account("cannot", segment="small", country=None, employee_count=3),
        ],
    )
    could, cannot = found["could"], found["cannot"]
    assert (could["fit_class"], could["missing_inputs"]) == ("unknown", "employee_count")
    assert (could["least_points"], could["most_points"]) == (-5, 55)
    assert could["recommended_treatment"] == "find_out"
    assert (cannot["fit_class"], cannot["missing_inputs"]) == ("bad_fit", "country")


def test_an_account_that_only_billing_knows_is_unknown(compile_models: CompileModels) -> None:
    found = fits(compile_models, [], subscriptions=[subscription("S", date(2024, 1, 1))])
    assert found["A"]["fit_class"] == "unknown"


def test_without_rules_every_account_is_unknown(compile_models: CompileModels) -> None:
    assert fits(compile_models, [account("A")], rules=[])["A"]["fit_class"] == "unknown"


def test_leaving_changes_nothing_about_the_fit(compile_models: CompileModels) -> None:
    rules = [
        rule("seats", "first_seats", ">", "4", 50),
        rule("price", "first_price_per_seat", "<=", "20", 10),
        rule("plan", "first_plan_tier", "=", "basic", 10),
    ]
    stays = subscription("S", date(2024, 1, 1), quantity=5, amount=20, account_id="stays")
    leaves = {**stays, "account_id": "leaves", "subscription_id": "L"}
    leaves["ended_at"] = datetime(2024, 2, 1)
    shrinks = [
        {**leaves, "account_id": "shrinks", "subscription_id": "H"},
        subscription("H", date(2024, 2, 1), plan_tier="pro", account_id="shrinks"),
    ]
    names = ("stays", "leaves", "shrinks")
    found = fits(compile_models, [account(n) for n in names], rules, [stays, leaves, *shrinks])
    assert [found[name]["fit_points"] for name in names] == [70, 70, 70]


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (rule("r", "colour", "=", "red", 1), "rule r names the attribute colour; there are: "),
        (rule("r", "segment", "~", "x", 1), "rule r has the operator ~; there are: "),
        (rule("r", "segment", ">", "x", 1), "rule r compares segment with >, but it is no number"),
        (
            rule("r", "employee_count", "in", "5|many", 1),
            "rule r compares employee_count with 5|many, which is no number",
        ),
        (rule("r", "segment", "=", None, 1), "rule r has no value"),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused_in_a_sentence(
    compile_models: CompileModels, broken: dict[str, Any], sentence: str
) -> None:
    with built(compile_models, World(AS_OF, accounts=[account("A")]), [broken]) as database:
        [(problem,)] = database.execute("from problems").fetchall()
    assert problem.startswith(sentence)


def test_the_value_of_a_rule_is_no_sql(compile_models: CompileModels) -> None:
    value = "x' or 1 = 1 --"
    found = fits(compile_models, [account("A")], [rule("r", "segment", "=", value, 90)])
    assert found["A"]["fit_class"] == "bad_fit"


ATTRIBUTES: dict[str, list[Any]] = {
    "segment": ["small", "mid", "large"],
    "country": ["DE", "US", None],
    "employee_count": [None, 3, 10, 50, 400],
}


def holds(rule: dict[str, Any], cell: Any) -> bool | None:
    """Whether a rule holds of an attribute; None where the attribute is missing."""
    if cell is None:
        return None
    parts = [part.strip() for part in rule["value"].split("|")]
    listed = [type(cell)(part) for part in parts]
    answers: dict[str, bool] = {
        "in": cell in listed,
        "not in": cell not in listed,
        "=": cell == listed[0],
        "<>": cell != listed[0],
        ">=": cell >= listed[0],
        ">": cell > listed[0],
        "<=": cell <= listed[0],
        "<": cell < listed[0],
    }
    return answers[rule["operator"]]


def fit_class(points: int) -> str:
    return "best_fit" if points >= 50 else "stretch" if points >= 20 else "bad_fit"


@st.composite
def rules(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for index in range(draw(st.integers(1, 5))):
        attribute = draw(st.sampled_from(sorted(ATTRIBUTES)))
        numeric = attribute == "employee_count"
        operators = ["=", "<>", "in", "not in"] + [">=", ">", "<=", "<"] * numeric
        operator = draw(st.sampled_from(operators))
        known = [str(cell) for cell in ATTRIBUTES[attribute] if cell is not None]
        count = draw(st.integers(1, 2)) if operator in ("in", "not in") else 1
        value = "|".join(draw(st.permutations(known))[:count])
        points = draw(st.sampled_from([-40, -10, 10, 20, 50]))
        made.append(rule(f"r{index}", attribute, operator, value, points))
    return made


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rules=rules(),
    profiles=st.lists(
        st.fixed_dictionaries({k: st.sampled_from(v) for k, v in ATTRIBUTES.items()}),
        min_size=1,
        max_size=5,
    ),
)
def test_classes_are_those_of_every_way_in_which_missing_inputs_could_turn_out(
    compile_models: CompileModels, rules: list[dict[str, Any]], profiles: list[dict[str, Any]]
) -> None:
    accounts = [account(f"A{index}", **profile) for index, profile in enumerate(profiles)]
    found = fits(compile_models, accounts, rules)
    for index, profile in enumerate(profiles):
        outcomes = {0}
        for each in rules:
            answer = holds(each, profile[each["attribute"]])
            ways = (False, True) if answer is None else (answer,)
            outcomes = {total + each["points"] * way for total in outcomes for way in ways}
        classes = {fit_class(min(outcomes)), fit_class(max(outcomes))}
        expected = classes.pop() if len(classes) == 1 else "unknown"
        assert found[f"A{index}"]["fit_class"] == expected


def test_each_class_has_its_share_and_its_retention_over_twelve_months(
    compile_models: CompileModels,
) -> None:
    start, bought = date(2024, 1, 1), [rule("all", "segment", "=", "large", 90)]
    accounts = [
        account(name, segment=name.split("-")[0]) for name in ("large-1", "large-2", "small")
    ]
    rows = [
        subscription("1", start, account_id="large-1"),
        subscription("2", start, date(2024, 6, 5), account_id="large-2"),
        subscription("3", start, date(2024, 6, 5), account_id="small", amount=50),
        subscription("3", date(2024, 6, 5), account_id="small", amount=100),
    ]
    world = World(date(2025, 1, 31), subscriptions=rows, accounts=accounts)
    with built(compile_models, world, bought) as database:
        mart = {
            row["fit_class"]: row
            for row in rows_of(database, "mart_fit_segments")
            if row["period_start"] == date(2025, 1, 1)
        }
        early = [
            row["retention_reason_null"]
            for row in rows_of(database, "mart_fit_segments")
            if row["period_start"] == start
        ]
    best, bad = mart["best_fit"], mart["bad_fit"]
    assert set(mart) == {"best_fit", "stretch", "bad_fit", "unknown"}
    assert (best["share_of_accounts"], best["nrr"], best["logo_retention_rate"]) == (0.5, 0.5, 0.5)
    assert (bad["share_of_mrr"], bad["nrr"], bad["logo_retention_rate"]) == (0.5, 2, 1)
    assert bad["recommended_treatment"] == "refer_out"
    assert (mart["stretch"]["nrr"], mart["stretch"]["retention_reason_null"]) == (
        None,
        "no_opening_accounts",
    )
    assert early == ["insufficient_history"] * 4


def test_the_tickets_of_a_class_are_those_of_its_accounts_over_their_lives(
    compile_models: CompileModels,
) -> None:
    accounts = [account(name, segment=name) for name in ("large", "small")]
    rows = [subscription(name, date(2024, 2, 1), account_id=name) for name in ("large", "small")]
    tickets = [ticket(f"T{day}", date(2024, 3, day), account_id="large") for day in (1, 5, 31)]
    world = World(AS_OF, subscriptions=rows, accounts=accounts)
    bought = [rule("all", "segment", "=", "large", 90)]
    with built(compile_models, world, bought, support__tickets=tickets) as database:
        march = {
            row["fit_class"]: (row["tickets"], row["ticket_rate"])
            for row in rows_of(database, "mart_fit_segments")
            if row["period_start"] == date(2024, 3, 1)
        }
    assert march["best_fit"] == (3, pytest.approx(90 / 31))
    assert march["bad_fit"] == (0, 0)
    assert march["stretch"] == (None, None)


def test_without_a_tickets_export_no_class_has_a_ticket_rate(compile_models: CompileModels) -> None:
    world = World(AS_OF, subscriptions=[subscription("S", date(2024, 2, 1))])
    with built(compile_models, world, RULES) as database:
        rates = {row["ticket_rate"] for row in rows_of(database, "mart_fit_segments")}
    assert rates == {None}


# ---------------------------------------------------------------------------------------- outcomes


def outcome(name: str, **columns: Any) -> dict[str, Any]:
    return {
        "outcome_id": name,
        "account_id": "A",
        "stated_outcome": "Close the books faster",
        "due_date": None,
        "achieved_at": None,
        "evidence": None,
        "value_minor": None,
    } | columns


OUTCOMES = [
    (outcome("early", due_date=date(2024, 3, 9), achieved_at=datetime(2024, 3, 1)), "achieved", -8),
    (
        outcome("in time", due_date=date(2024, 3, 9), achieved_at=datetime(2024, 3, 9, 23, 59)),
        "achieved",
        0,
    ),
    (
        outcome("late", due_date=date(2024, 3, 9), achieved_at=datetime(2024, 3, 10)),
        "achieved_late",
        1,
    ),
    (outcome("undated", achieved_at=datetime(2024, 3, 10)), "achieved", None),
    (outcome("missed", due_date=date(2024, 3, 31)), "overdue", 0),
    (outcome("to come", due_date=date(2024, 4, 2)), "open", -2),
    (outcome("some day"), "no_due_date", None),
    (
        outcome("after as-of", due_date=date(2024, 3, 9), achieved_at=datetime(2024, 4, 1)),
        "overdue",
        22,
    ),
]


def test_outcomes_are_achieved_late_overdue_open_or_without_a_date(
    compile_models: CompileModels,
) -> None:
    rows = [row for row, _, _ in OUTCOMES]
    world = World(AS_OF, accounts=[account("A")])
    with built(compile_models, world, RULES, crm__desired_outcomes=rows) as database:
        found = {row["outcome_id"]: row for row in rows_of(database, "mart_desired_outcomes")}
    assert {name: (row["status"], row["days_after_due"]) for name, row in found.items()} == {
        row["outcome_id"]: (status, days) for row, status, days in OUTCOMES
    }
    assert found["after as-of"]["achieved_at"] is None


def test_due_outcomes_are_counted_in_the_month_of_their_due_date_also_of_unknown_accounts(
    compile_models: CompileModels,
) -> None:
    rows = [row for row, _, _ in OUTCOMES]
    rows.append(outcome("stranger", account_id="?", due_date=date(2024, 3, 1), value_minor=500))
    world = World(AS_OF, accounts=[account("A")])
    with built(compile_models, world, RULES, crm__desired_outcomes=rows) as database:
        measures = database.sql("from intermediate.int_accounts__outcome_slice_months")
        names = measures.columns
        found = [dict(zip(names, row, strict=True)) for row in measures.fetchall()]
    by_slice = {(row["slice_dimension"], row["slice_value"]): row for row in found}
    total = by_slice["total", "all"]
    counts = ("due_outcomes", "achieved_outcomes", "outcomes_achieved_on_time", "due_value")
    assert [total[name] for name in counts] == [6, 3, 2, 5]
    assert by_slice["segment", "unknown"]["due_outcomes"] == 1
    for dimension in ("segment", "country"):
        parts = [row for row in found if row["slice_dimension"] == dimension]
        assert sum(row["due_outcomes"] for row in parts) == 6


def test_without_the_export_there_are_no_outcomes(compile_models: CompileModels) -> None:
    with built(compile_models, World(AS_OF, accounts=[account("A")]), RULES) as database:
        assert rows_of(database, "mart_desired_outcomes") == []
