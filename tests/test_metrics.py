"""The registry of metrics: complete, evaluated as written, and extended by one entry."""

import math
import re
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from statistics import median
from typing import Any

import oracle
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from models import DBT_DIR, REVENUE, REVENUE_ONLY, CompileModels, Models, rows_of
from oracle import Policies, World
from rows import account, mention, subscription
from strategies import worlds
from worked_examples import TWELVE_MONTHS_LATER

VARS = yaml.safe_load((DBT_DIR / "dbt_project.yml").read_text())["vars"]
REGISTRY: Mapping[str, Mapping[str, Any]] = VARS["metrics"]
PERIODS = ("week", "month")
EVALUATED = {
    name: entry for name, entry in REGISTRY.items() if entry.get("grain", "month") in PERIODS
}
SQL_WORDS = {"and", "or", "not", "is", "null", "case", "when", "then", "else", "end", "in", "cast"}
KEY = ("metric_name", "period_start", "slice_dimension", "slice_value")


def words(expression: str) -> set[str]:
    return set(re.findall(r"[a-z_]\w*", re.sub(r"'[^']*'", "", expression))) - SQL_WORDS


@pytest.mark.parametrize("name", REGISTRY)
def test_an_entry_says_all_that_a_metric_needs(name: str) -> None:
    entry = {**VARS["metric_defaults"], **REGISTRY[name]}
    needed = ("numerator", "measures", "unit", "direction", "description", "grain", "slices")
    assert [field for field in (*needed, "owner", "min_sample") if not entry.get(field)] == []
    assert entry["direction"] in ("increase", "decrease")
    assert entry["min_sample"] in VARS
    assert "total" in entry["slices"] or entry["slices"] == ["feature"]
    known = {*needed, "owner", "denominator", "sample", "min_sample", "windows", "where"}
    assert entry.keys() <= known | {"reasons", "if_empty", "is_additive"}


@pytest.mark.parametrize("name", REGISTRY)
def test_an_entry_uses_documented_columns_of_its_measures_model(
    manifest: Mapping[str, Any], name: str
) -> None:
    entry = REGISTRY[name]
    model = manifest["nodes"][f"model.customer_success.{entry['measures']}"]
    columns = set(model["columns"])
    expressions = [entry.get(field) for field in ("numerator", "denominator", "sample", "where")]
    expressions += entry.get("reasons", {}).values()
    used = {word for expression in expressions for word in words(str(expression or ""))}
    assert used
    assert used - columns == set()
    if name in EVALUATED:
        assert entry["measures"].startswith("int_")
        shape = {"slice_dimension", "slice_value", "period_start", "period_end"}
        assert columns >= shape | {"is_complete_period"}
        assert ("window_months" in columns) == ("windows" in entry)
    else:
        assert entry["measures"].startswith("mart_")


def test_macros_that_read_a_policy_are_known_to_the_lineage(manifest: Mapping[str, Any]) -> None:
    macros = {
        macro["name"]: set(re.findall(r"var\([\"'](\w+)[\"']\)", macro["macro_sql"]))
        for macro in manifest["macros"].values()
        if macro["package_name"] == "customer_success"
    }
    reading = {
        name: used - {"metrics", "metric_defaults", "systems"} for name, used in macros.items()
    }
    listed = re.search(
        r"policy_of_macro = (\{[^}]*\})", (DBT_DIR / "macros/metrics.sql").read_text()
    )
    assert listed
    assert yaml.safe_load(listed[1]) == {name: min(used) for name, used in reading.items() if used}


@pytest.fixture(scope="module")
def revenue(compile_models: CompileModels) -> Models:
    return compile_models(Policies(), ("mart_metrics",), metrics=REVENUE_ONLY)


def by_key(rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    found = {tuple(row[name] for name in KEY): row for row in rows}
    assert len(found) == len(rows)
    return found


def divided(numerator: Any, denominator: Any) -> float | None:
    return float(numerator) / float(denominator) if denominator else None


def expected_values(book: oracle.Book) -> dict[tuple[Any, ...], float | None]:
    """Every revenue metric by metric, month and slice, from the oracle's marts and the definitions
    as METRICS writes them."""
    bridge_metrics: dict[str, Callable[[dict[str, Any]], float | None]] = {
        "mrr": lambda row: float(row["closing_mrr"]),
        "paying_accounts": lambda row: float(row["closing_accounts"]),
        "logo_churn_rate": lambda row: divided(row["churned_accounts"], row["opening_accounts"]),
        "gross_revenue_churn_rate": lambda row: divided(
            row["churned_mrr"] + row["contraction_mrr"], row["opening_mrr"]
        ),
        "churned_to_new_accounts_ratio": lambda row: divided(
            row["churned_accounts"], row["new_accounts"]
        ),
        "churned_to_new_mrr_ratio": lambda row: divided(row["churned_mrr"], row["new_mrr"]),
        "quick_ratio": lambda row: divided(
            row["new_mrr"] + row["expansion_mrr"], row["churned_mrr"] + row["contraction_mrr"]
        ),
        "total_growth_rate": lambda row: divided(
            row["closing_mrr"] - row["opening_mrr"], row["opening_mrr"]
        ),
        "arpa": lambda row: divided(row["closing_mrr"], row["closing_accounts"]),
    }
    values: dict[tuple[Any, ...], float | None] = {}
    for row in oracle.mrr_bridge(book):
        where = (row["period_start"], row["slice_dimension"], row["slice_value"])
        for name, compute in bridge_metrics.items():
            values[name, *where] = compute(row)
    for row in oracle.retention_nrr_grr(book):
        where = (row["period_start"], row["slice_dimension"], row["slice_value"])
        for name in ("nrr", "grr", "logo_retention_rate"):
            values[f"{name}_{row['window_months']}m", *where] = row[name]
    return values


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds())
def test_random_worlds_agree_with_the_oracle_and_slices_sum_to_the_total(
    revenue: Models, world: World
) -> None:
    with closing(revenue.build(world)) as database:
        rows = rows_of(database, "mart_metrics")
    found = by_key(rows)
    expected = expected_values(oracle.keep_book(world, Policies()))
    for key, value in expected.items():
        if value is None:
            assert found[key]["value"] is None, key
            assert found[key]["reason_null"], key
        else:
            assert math.isclose(found[key]["value"], value, rel_tol=1e-6, abs_tol=1e-9), key
            assert found[key]["reason_null"] is None
    sums: dict[tuple[Any, ...], dict[str, list[Decimal]]] = {}
    for row in rows:
        dimensions = sums.setdefault((row["metric_name"], row["period_start"]), {})
        parts = dimensions.setdefault(row["slice_dimension"], [Decimal(0), Decimal(0)])
        parts[0] += row["numerator"] or 0
        parts[1] += row["denominator"] or 0
    for period, dimensions in sums.items():
        assert all(parts == dimensions["total"] for parts in dimensions.values()), period


JANUARY = date(2025, 1, 1)
TWO_SEGMENTS = World(
    date(2025, 2, 14),
    accounts=[account("A", segment="small"), account("B", segment="large", country=None)],
    subscriptions=[
        subscription("S-A", date(2024, 1, 10), date(2024, 8, 3), amount=70),
        subscription("S-B", date(2024, 3, 1), account_id="B", amount=210),
    ],
)


def test_a_metric_equals_the_column_of_the_wide_mart_that_shows_it(
    compile_models: CompileModels,
) -> None:
    marts = {
        node: text
        for path in DBT_DIR.glob("models/marts/*/mart_*.sql")
        if (node := path.stem) and (text := path.read_text())
    }
    shown = {
        mart: sorted(
            set(re.findall(r"metric\('(\w+)'\) }} as \1\b", text))
            & EVALUATED.keys()
            & {name for name, entry in REVENUE_ONLY.items() if entry.get("grain") != "elsewhere"}
        )
        for mart, text in marts.items()
        if mart in REVENUE
    }
    names = tuple(mart for mart, columns in shown.items() if columns)
    models = compile_models(Policies(), ("mart_metrics", *names), metrics=REVENUE_ONLY)
    compared = 0
    with closing(models.build(TWO_SEGMENTS)) as database:
        found = by_key(rows_of(database, "mart_metrics"))
        for mart in names:
            for row in rows_of(database, mart):
                for column in shown[mart]:
                    window = f"_{row['window_months']}m" if "window_months" in row else ""
                    key = (f"{column}{window}", *(row[name] for name in KEY[1:]))
                    assert found[key]["value"] == row[column], (mart, key)
                    assert found[key]["is_complete_period"] == row["is_complete_period"]
                    compared += row[column] is not None
    assert compared > 100


@pytest.mark.parametrize(
    ("metric", "month", "dimension", "value", "expected"),
    [
        ("nrr_12m", JANUARY, "total", "all", {"value": 0.0, "denominator": 70}),
        ("nrr_12m", date(2024, 12, 1), "total", "all", {"reason_null": "insufficient_history"}),
        ("nrr_1m", date(2024, 1, 1), "total", "all", {"reason_null": "insufficient_history"}),
        ("nrr_1m", date(2024, 10, 1), "segment", "small", {"reason_null": "no_opening_mrr"}),
        ("nrr_1m", date(2024, 10, 1), "country", "unknown", {"value": 1.0, "sample_size": 1}),
        ("nrr_1m", date(2024, 10, 1), "total", "all", {"is_small_sample": True}),
        ("quick_ratio", date(2024, 4, 1), "total", "all", {"reason_null": "no_losses"}),
        ("mrr", date(2024, 4, 1), "total", "all", {"value": 280.0, "denominator": None}),
        ("growth_factor_12", date(2024, 12, 1), "total", "all", {"denominator": None}),
        ("growth_factor_12", JANUARY, "total", "all", {"value": 3.0}),
        ("growth_factor_12", date(2025, 2, 1), "total", "all", {"is_complete_period": False}),
    ],
)  # fmt: skip
def test_a_value_or_the_word_for_why_there_is_none(
    revenue: Models, metric: str, month: date, dimension: str, value: str, expected: dict[str, Any]
) -> None:
    with closing(revenue.build(TWO_SEGMENTS)) as database:
        row = by_key(rows_of(database, "mart_metrics"))[metric, month, dimension, value]
    assert {column: row[column] for column in expected} == expected


def test_example_22_the_cohort_of_a_year_ago_and_not_its_survivors(revenue: Models) -> None:
    with closing(revenue.build(TWELVE_MONTHS_LATER)) as database:
        found = by_key(rows_of(database, "mart_metrics"))
    assert found["nrr_12m", date(2025, 1, 1), "total", "all"]["value"] == pytest.approx(1.05)


@pytest.mark.parametrize(
    ("left", "came", "accounts_ratio", "mrr_ratio"),
    [(2, 1, 2.0, 3.0), (1, 2, 0.5, 0.75), (0, 2, 0.0, 0.0), (2, 0, None, None)],
    ids=["leaving faster", "coming faster", "nobody left", "nobody came"],
)
def test_whether_customers_leave_faster_than_new_ones_come(
    revenue: Models,
    left: int,
    came: int,
    accounts_ratio: float | None,
    mrr_ratio: float | None,
) -> None:
    january, february = date(2024, 1, 5), date(2024, 2, 5)
    gone = [
        subscription(f"old-{index}", january, february, account_id=f"old-{index}", amount=150)
        for index in range(left)
    ]
    new = [
        subscription(f"new-{index}", february, account_id=f"new-{index}", amount=100)
        for index in range(came)
    ]
    stays = subscription("stays", january, account_id="stays")
    world = World(date(2024, 2, 29), subscriptions=[stays, *gone, *new])
    with closing(revenue.build(world)) as database:
        found = by_key(rows_of(database, "mart_metrics"))
    names = ("churned_to_new_accounts_ratio", "churned_to_new_mrr_ratio")
    rows = [found[name, date(2024, 2, 1), "total", "all"] for name in names]
    assert [row["value"] for row in rows] == [accounts_ratio, mrr_ratio]
    if not came:
        assert [row["reason_null"] for row in rows] == ["no_new_accounts", "no_new_mrr"]


def test_adding_a_ratio_is_one_entry(compile_models: CompileModels) -> None:
    entry = {
        "numerator": "expansion_mrr",
        "denominator": "opening_mrr",
        "measures": "int_revenue__slice_months",
        "unit": "fraction",
        "direction": "increase",
        "description": "It's what customers on board added",
    }
    models = compile_models(
        Policies(gap_tolerance_days=3),
        ("mart_metrics", "mart_metric_definitions"),
        metrics=REVENUE_ONLY | {"expansion_rate": entry},
    )
    grows = [
        subscription("S", date(2024, 1, 10), date(2024, 2, 10), amount=100),
        subscription("S", date(2024, 2, 10), amount=125),
    ]
    with closing(models.build(World(date(2024, 2, 29), subscriptions=grows))) as database:
        found = by_key(rows_of(database, "mart_metrics"))
        definitions = {
            row["metric_name"]: row for row in rows_of(database, "mart_metric_definitions")
        }
    for dimension in VARS["metric_defaults"]["slices"]:
        value = {"total": "all", "plan_tier": "basic"}.get(dimension, "unknown")
        row = found["expansion_rate", date(2024, 2, 1), dimension, value]
        assert (row["value"], row["numerator"], row["denominator"]) == (0.25, 25, 100)
    told = definitions["expansion_rate"]
    assert (told["numerator"], told["measures_model"], told["unit"], told["description"]) == (
        "expansion_mrr",
        "int_revenue__slice_months",
        "fraction",
        "It's what customers on board added",
    )
    assert told["slices"] == ", ".join(VARS["metric_defaults"]["slices"])
    assert (told["owner"], told["grain"]) == ("customer success", "month")
    assert "gap_tolerance_days = 3" in told["policies"].split("; ")
    assert definitions["nrr_12m"]["condition"] == "window_months = 12"
    assert definitions["nrr_12m"]["reasons"] == "insufficient_history if is_too_early"
    assert told["reasons"] is None


def test_a_definition_tells_policies_seeds_and_exports_it_rests_on(
    compile_models: CompileModels,
) -> None:
    def told(policies: Policies, **changed: Any) -> dict[str, dict[str, Any]]:
        metrics = REVENUE_ONLY | changed
        models = compile_models(policies, ("mart_metric_definitions",), metrics=metrics)
        with closing(models.build(World(date(2024, 1, 1)))) as database:
            return {row["metric_name"]: row for row in rows_of(database, "mart_metric_definitions")}

    usual = told(Policies())
    assert "reporting_timezone = UTC" in usual["arpa"]["policies"].split("; ")
    assert "min_survey_responses" not in usual["arpa"]["policies"]
    assert {"billing/subscriptions", "crm/accounts"} <= set(usual["arpa"]["exports"].split(", "))
    assert "orders/orders" not in usual["arpa"]["exports"]
    assert "orders/orders" in usual["retention_rate"]["exports"]
    assert not usual["retention_rate"]["is_in_mart_metrics"]
    versions = {name: row["definition_version"] for name, row in usual.items()}
    assert len(set(versions.values())) == len(versions)
    # A policy is no part of the rule; the rule is.
    other = told(Policies(gap_tolerance_days=0))
    assert {name: row["definition_version"] for name, row in other.items()} == versions
    use = told(Policies(), **{name: REGISTRY[name] for name in ("adoption_depth", "stickiness")})
    assert "healthy_user_logins" in use["adoption_depth"]["policies"]
    assert "healthy_user_logins" not in use["stickiness"]["policies"]
    asked = told(Policies(), ticket_csat=REGISTRY["ticket_csat"])["ticket_csat"]["policies"]
    assert "excluded_ticket_statuses = " in asked.split("; ")
    redefined = told(Policies(), arpa={**REGISTRY["arpa"], "denominator": "opening_accounts"})
    assert {n for n, row in redefined.items() if row["definition_version"] != versions[n]} == {
        "arpa"
    }


def test_every_column_of_every_mart_is_explained_in_the_release(
    compile_models: CompileModels, manifest: Mapping[str, Any]
) -> None:
    models = compile_models(Policies(), ("mart_column_definitions",))
    with closing(models.build(World(date(2024, 1, 1)))) as database:
        rows = rows_of(database, "mart_column_definitions")
    documented = {
        (node["name"], column)
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["fqn"][1] == "marts"
        for column in node["columns"]
    }
    assert {(row["mart"], row["column_name"]) for row in rows} == documented
    assert all(row["description"] for row in rows)
    told = {(row["mart"], row["column_name"]): row for row in rows}
    assert told["mart_mrr_bridge", "quick_ratio"]["metric_name"] == "quick_ratio"
    assert told["mart_mrr_bridge", "opening_mrr"]["unit"] == "base currency per month"
    assert told["mart_mrr_bridge", "opening_accounts"]["unit"] == "count"
    assert told["mart_mrr_bridge", "period_end"]["unit"] is None


def test_texts_hold_under_every_policy(manifest: Mapping[str, Any]) -> None:
    texts = {
        (node["name"], name): column["description"]
        for node in manifest["nodes"].values()
        for name, column in node.get("columns", {}).items()
        if node["resource_type"] == "model"
    } | {("registry", name): entry["description"] for name, entry in REGISTRY.items()}
    counting = ("opening_accounts", "closing_accounts", "paying_accounts", "logo_churn_rate")
    for (where, name), text in texts.items():
        # With free_after_paid: contraction a customer may pay nothing.
        if name in counting and (where == "registry" or name.endswith("_accounts")):
            assert "free_after_paid" in text or "customers" in text, (where, name)
        assert not re.search(r"accounts that (pay|paid) at the (open|close) \(count", text), name
        # With trial_policy: include a trial is in MRR as well.
        assert "in no other figure" not in text, (where, name)
    assert "trial_policy" in texts["mart_unit_economics", "trial_mrr"]


def test_nothing_landed_is_an_empty_mart(revenue: Models) -> None:
    with closing(revenue.build(World(date(2024, 1, 31)))) as database:
        assert rows_of(database, "mart_metrics") == []


def test_months_far_from_those_before_are_anomalies(compile_models: CompileModels) -> None:
    models = compile_models(
        Policies(min_cohort_customers=1, gap_tolerance_days=0),
        ("mart_metrics", "mart_metric_anomalies"),
        metrics=REVENUE_ONLY,
    )
    paid = [100, 104, 97, 101, 103, 99, 100, 160, 101, 98, 102, 101, 99, 55, 500]
    months = [oracle.next_month(date(2024, 1, 1), index) for index in range(len(paid))]
    flat = [subscription("flat", months[0], account_id="B", amount=40)]
    moving = [
        subscription("S", month, oracle.next_month(month), amount=amount)
        for month, amount in zip(months, paid, strict=True)
    ]
    # The last month, five times the usual, is not complete.
    world = World(
        oracle.next_month(months[-1]) - timedelta(2),
        [*flat, *moving],
        [account("A", segment="small"), account("B", segment="large")],
    )
    with closing(models.build(world)) as database:
        metrics = rows_of(database, "mart_metrics")
        anomalies = by_key(rows_of(database, "mart_metric_anomalies"))
    found = {key[1]: row for key, row in anomalies.items() if (key[0], key[3]) == ("mrr", "small")}
    assert {month: row["severity"] for month, row in found.items()} == {
        months[7]: "high",
        months[13]: "high",
    }
    assert (found[months[7]]["value"], found[months[7]]["expected"]) == (160, 100)
    assert not [key for key in anomalies if key[0] == "mrr" and key[3] == "large"]
    assert anomalies.keys() == expected_anomalies(metrics)


def test_a_small_sample_is_one_of_the_twelve_months_before_and_tells_nothing(
    compile_models: CompileModels,
) -> None:
    # In every other month four accounts pay, too few to speak; in the others five.
    models = compile_models(
        Policies(min_cohort_customers=5, gap_tolerance_days=0),
        ("mart_metrics", "mart_metric_anomalies"),
        metrics=REVENUE_ONLY,
    )
    months = [oracle.next_month(date(2022, 1, 1), index) for index in range(30)]
    rows = [
        subscription(f"S{number}", month, oracle.next_month(month), account_id=f"A{number}",
                     amount=500 if month == months[-2] else 100 + index % 5)
        for index, month in enumerate(months)
        for number in range(4 if index % 2 else 5)
    ]  # fmt: skip
    world = World(months[-1], rows, [account(f"A{number}") for number in range(5)])
    with closing(models.build(world)) as database:
        metrics = rows_of(database, "mart_metrics")
        anomalies = by_key(rows_of(database, "mart_metric_anomalies"))
    assert anomalies.keys() == expected_anomalies(metrics)
    assert {row["months_before"] for row in anomalies.values()} == {6}


def test_months_without_a_row_are_months_before_all_the_same(compile_models: CompileModels) -> None:
    # Eight months of mentions in 2020, a third of them bad, and one years later, none of them bad.
    models = compile_models(
        Policies(),
        ("mart_metrics", "mart_metric_anomalies"),
        metrics={
            name: entry if name == "net_sentiment" else {**entry, "grain": "elsewhere"}
            for name, entry in REGISTRY.items()
        },
    )
    early = [oracle.next_month(date(2020, 1, 1), index) for index in range(8)]
    words = ("positive", "positive", "negative")
    mentions = [
        mention(f"{month}-{number}", month, sentiment=words[number % 3 if month in early else 0])
        for month in (*early, date(2024, 6, 1))
        for number in range(30)
    ]
    world = World(date(2024, 6, 30), accounts=[account("A")])
    with closing(models.build(world, listening__mentions=mentions)) as database:
        metrics = rows_of(database, "mart_metrics")
        anomalies = rows_of(database, "mart_metric_anomalies")
    assert max(row["value"] for row in metrics) == 100
    assert anomalies == []
    assert expected_anomalies(metrics) == set()


def expected_anomalies(metrics: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    series: dict[tuple[Any, ...], dict[date, float | None]] = {}
    for row in metrics:
        if row["is_complete_period"]:
            name = (row["metric_name"], row["slice_dimension"], row["slice_value"])
            value = None if row["is_small_sample"] else row["value"]
            series.setdefault(name, {})[row["period_start"]] = value
    found = set()
    for (metric, *where), values in series.items():
        for month, value in values.items():
            earlier = [values.get(oracle.next_month(month, -back)) for back in range(1, 13)]
            history = [number for number in earlier if number is not None]
            if value is None or len(history) < 6:
                continue
            middle = median(history)
            spread = 1.4826 * median(abs(number - middle) for number in history)
            spread = max(spread, 0.05 * abs(middle))
            if spread and abs(value - middle) / spread > 3:
                found.add((metric, month, *where))
    return found
