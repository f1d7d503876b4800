"""Investments: uplift of the installed base, return, comparison, overlaps; against plain Python."""

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import DBT_DIR, CompileModels, Models, rows_of
from oracle import Policies, World, next_month
from rows import account, subscription

from dagster_project.core.exports import load_exports
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import Lake
from dagster_project.core.samples import accounts as customers
from dagster_project.core.samples import generate
from dagster_project.core.staleness import Rules

MONTHS = [date(2024, month, 1) for month in range(1, 10)]
JANUARY, *_, SEPTEMBER = MONTHS
MAY = date(2024, 5, 1)
# What each account pays at the close of each month, by segment and account; 0 = nothing.
Payments = Mapping[str, Mapping[str, Sequence[int]]]


def world(payments: Payments, as_of: date = date(2024, 9, 30)) -> World:
    subscriptions = [
        subscription(f"S-{name}", month, next_month(month), account_id=name, amount=amount)
        for accounts in payments.values()
        for name, amounts in accounts.items()
        for month, amount in zip(MONTHS, amounts, strict=True)
        if amount
    ]
    # The last row of each stays open, or the day after as-of would be churn.
    for row in subscriptions:
        if row["ended_at"].date() > as_of:
            row["ended_at"] = None
    accounts = [
        account(name, segment=segment) for segment, names in payments.items() for name in names
    ]
    return World(as_of, subscriptions, accounts)


def investment(investment_id: str = "I", **columns: Any) -> dict[str, Any]:
    return {
        "investment_id": investment_id,
        "name": "What it is",
        "invested_on": MAY,
        "cost": 320.5,
        "scope_segment": "small",
        "gross_margin_rate": None,
    } | columns


@pytest.fixture(scope="module")
def models(compile_models: CompileModels) -> Models:
    return compile_models(Policies(gap_tolerance_days=0), ("mart_investment_roi",))


def judged(
    models: Models, payments: Payments, *investments: dict[str, Any], **kwargs: Any
) -> dict[str, dict[str, Any]]:
    built = models.build(world(payments, **kwargs), seeds__investments=investments)
    with closing(built) as database:
        return {row["investment_id"]: row for row in rows_of(database, "mart_investment_roi")}


FLAT = [1000] * 9
# Nothing before May; a tenth more in each of May, June and July.
TENTHS = [1000, 1000, 1000, 1000, 1100, 1210, 1331, 1331, 1331]
GROWING = [1000 * 2**month for month in range(9)]


def test_an_effect_is_found_and_paid_back(models: Models) -> None:
    row = judged(models, {"small": {"A": TENTHS}, "large": {"B": FLAT}}, investment())["I"]
    assert (row["status"], row["achieved_within_3m"], row["reason_null"]) == (
        "achieved",
        True,
        None,
    )
    assert row["g0"] == 0
    assert [row[name] for name in ("g1", "g2", "g3")] == pytest.approx([0.1, 0.1, 0.1])
    assert row["uplift_pp"] == pytest.approx(10)
    assert [float(row[f"mrr_{k}"]) for k in range(4)] == [1000, 1100, 1210, 1331]
    assert row["incremental_mrr"] == pytest.approx(100 + 210 + 331)
    assert row["roi"] == pytest.approx((641 - 320.5) / 320.5)
    assert (row["comparison_segments"], row["did_uplift"]) == ("large", pytest.approx(10))
    assert row["overlap_flag"] is False


def test_growth_that_goes_on_as_before_is_no_effect(models: Models) -> None:
    row = judged(models, {"small": {"A": GROWING}}, investment())["I"]
    assert (row["status"], row["achieved_within_3m"]) == ("not_achieved", False)
    assert row["uplift_pp"] == pytest.approx(0)
    assert row["incremental_mrr"] == pytest.approx(0)
    assert row["roi"] == pytest.approx(-1)
    assert (row["did_uplift"], row["comparison_segments"]) == (None, None)


def test_new_customers_are_no_growth_of_the_installed_base(models: Models) -> None:
    comes = [0, 0, 0, 0, 500, 500, 900, 900, 900]
    row = judged(models, {"small": {"A": FLAT, "B": comes}}, investment())["I"]
    # B counts once it is on board (in July it grows), but is not among those of before May.
    assert [row[f"g{k}"] for k in (1, 2)] == [0, 0]
    assert row["g3"] == pytest.approx(400 / 1500)
    assert (float(row["mrr_0"]), float(row["mrr_3"]), row["incremental_mrr"]) == (1000, 1000, 0)


def test_what_everybody_gained_is_taken_off(models: Models) -> None:
    everybody = {"small": {"A": TENTHS}, "large": {"B": TENTHS}, "mid": {"C": FLAT}}
    row = judged(models, everybody, investment())["I"]
    assert row["comparison_segments"] == "large, mid"
    # B and C together: 2,000 to 2,100, 2,210, 2,331.
    others = (100 / 2000 + 110 / 2100 + 121 / 2210) / 3
    assert row["comparison_uplift_pp"] == pytest.approx(100 * others)
    assert row["did_uplift"] == pytest.approx(10 - 100 * others)


@pytest.mark.parametrize(
    ("columns", "as_of", "status", "reason"),
    [
        ({}, date(2024, 7, 31), "achieved", None),
        ({}, date(2024, 7, 30), "pending", "pending"),
        ({"invested_on": date(2024, 5, 2)}, date(2024, 7, 31), "pending", "pending"),
        ({"invested_on": date(2024, 12, 1)}, date(2024, 9, 30), "pending", "pending"),
        ({"invested_on": date(2024, 4, 1)}, date(2024, 9, 30), *["insufficient_history"] * 2),
        ({"invested_on": date(2024, 5, 31), "cost": 0}, date(2024, 9, 30), "achieved", "zero_cost"),
        ({"scope_segment": "nowhere"}, date(2024, 9, 30), *["insufficient_history"] * 2),
    ],
)
def test_when_nothing_can_be_said(
    models: Models, columns: dict[str, Any], as_of: date, status: str, reason: str | None
) -> None:
    payments = {"small": {"A": TENTHS}, "large": {"B": FLAT}}
    row = judged(models, payments, investment(**columns), as_of=as_of)["I"]
    assert (row["status"], row["reason_null"]) == (status, reason)
    assert (row["roi"] is None) == (reason is not None)
    assert (row["achieved_within_3m"] is None) == (status != "achieved")
    if status == "pending":
        assert row["uplift_pp"] is None
    if columns.get("invested_on") == date(2024, 5, 2):
        # May is cut in two and is neither before nor after: the first month after it is June.
        assert (row["g1"], row["g3"]) == (pytest.approx(0.1), None)
        assert (float(row["mrr_0"]), float(row["mrr_1"])) == (1100, 1210)


def test_an_installed_base_that_has_left_is_a_loss_and_no_uplift(models: Models) -> None:
    leaves = [1000, 1000, 1000, 1000, 0, 0, 0, 0, 0]
    row = judged(models, {"small": {"A": leaves}, "large": {"B": FLAT}}, investment())["I"]
    assert (row["g1"], row["g2"], row["uplift_pp"], row["status"]) == (
        -1,
        None,
        None,
        "not_achieved",
    )
    assert row["roi"] == pytest.approx((-3000 - 320.5) / 320.5)


@pytest.mark.parametrize(
    ("other", "flag", "compared_with"),
    [
        ({"invested_on": date(2024, 6, 10)}, True, "large, mid"),
        ({"invested_on": date(2024, 6, 10), "scope_segment": "all"}, True, None),
        ({"invested_on": date(2024, 6, 10), "scope_segment": "mid"}, False, "large"),
        # Its first month before is August, after the last one of the other.
        ({"invested_on": date(2024, 11, 1)}, False, "large, mid"),
        ({"invested_on": date(2024, 10, 31)}, True, "large, mid"),
    ],
)
def test_overlaps_are_flagged_and_touched_segments_not_compared_with(
    models: Models, other: dict[str, Any], flag: bool, compared_with: str | None
) -> None:
    payments = {"small": {"A": TENTHS}, "large": {"B": FLAT}, "mid": {"C": FLAT}}
    row = judged(models, payments, investment(), investment("other", **other))["I"]
    assert row["overlap_flag"] is flag
    assert row["overlapping_investments"] == ("other" if flag else None)
    assert row["comparison_segments"] == compared_with


def test_a_segment_that_is_called_all_is_not_the_whole(models: Models) -> None:
    payments = {"all": {"A": TENTHS}, "large": {"B": FLAT}}
    row = judged(models, payments, investment(scope_segment="all"))["I"]
    whole = {"small": {"A": TENTHS}, "large": {"B": FLAT}}
    assert row == judged(models, whole, investment(scope_segment="all"))["I"]


def expected(payments: Payments, row: dict[str, Any], as_of: date) -> dict[str, Any]:
    """One investment among no others, from what each account pays."""
    scope = row["scope_segment"]
    inside = {
        name: dict(zip(MONTHS, amounts, strict=True))
        for segment, accounts in payments.items()
        for name, amounts in accounts.items()
        if scope in ("all", segment)
    }
    outside = {
        name: dict(zip(MONTHS, amounts, strict=True))
        for segment, accounts in payments.items()
        for name, amounts in accounts.items()
        if scope not in ("all", segment)
    }

    def growth(accounts: Mapping[str, Mapping[date, int]], month: date) -> float | None:
        if next_month(month) > as_of + timedelta(1):
            return None
        before = {
            name: paid.get(next_month(month, -1), 0)
            for name, paid in accounts.items()
            if paid.get(next_month(month, -1), 0)
        }
        if not before:
            return None
        return sum(accounts[name].get(month, 0) for name in before) / sum(before.values()) - 1

    day = row["invested_on"]
    this_month = day.replace(day=1)
    first = this_month if day == this_month else next_month(this_month)
    before = [next_month(this_month, -k) for k in (3, 2, 1)]
    after = [first, next_month(first), next_month(first, 2)]

    def uplift(accounts: Mapping[str, Mapping[date, int]]) -> float | None:
        rates = [growth(accounts, month) for month in (*before, *after)]
        if None in rates:
            return None
        return (sum(rates[3:]) - sum(rates[:3])) / 3 * 100  # type: ignore[arg-type]

    g0 = [growth(inside, month) for month in before]
    result: dict[str, Any] = {
        f"g{k}": growth(inside, month) for k, month in enumerate(after, start=1)
    }
    result |= {"g0": None if None in g0 else sum(g0) / 3, "uplift_pp": uplift(inside)}  # type: ignore[arg-type]
    both = (uplift(inside), uplift(outside))
    result["did_uplift"] = None if None in both else both[0] - both[1]  # type: ignore[operator]
    base = next_month(first, -1)
    members = [name for name, paid in inside.items() if paid.get(base, 0)]
    result["roi"] = None
    if result["g0"] is not None and next_month(after[2]) <= as_of + timedelta(1):
        start = sum(inside[name][base] for name in members)
        actual = [sum(inside[name].get(month, 0) for name in members) for month in after]
        result["incremental_mrr"] = sum(
            mrr - start * (1 + result["g0"]) ** k for k, mrr in enumerate(actual, start=1)
        )
        margin = 1 if row["gross_margin_rate"] is None else row["gross_margin_rate"]
        result["roi"] = (result["incremental_mrr"] * margin - row["cost"]) / row["cost"]
    return result


amounts = st.lists(st.sampled_from([0, 100, 100, 130, 170, 250]), min_size=9, max_size=9)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    paid=st.fixed_dictionaries(
        {
            segment: st.dictionaries(st.sampled_from(names), amounts, min_size=1)
            for segment, names in (("small", "ABC"), ("large", "DE"), ("mid", "F"))
        }
    ),
    invested_on=st.dates(date(2024, 3, 1), date(2024, 8, 2)),
    scope=st.sampled_from(["small", "large", "all"]),
    as_of=st.dates(date(2024, 7, 1), date(2024, 9, 30)),
    margin=st.sampled_from([None, 0.8]),
)
def test_random_investments_agree_with_plain_python(
    models: Models,
    paid: Payments,
    invested_on: date,
    scope: str,
    as_of: date,
    margin: float | None,
) -> None:
    row = investment(invested_on=invested_on, scope_segment=scope, gross_margin_rate=margin)
    found = judged(models, paid, row, as_of=as_of)["I"]
    for column, value in expected(paid, row, as_of).items():
        if value is None:
            assert found[column] is None, column
        else:
            assert math.isclose(found[column], value, rel_tol=1e-9, abs_tol=1e-7), column


def in_the_samples(models: Models, folder: Path) -> dict[str, dict[str, Any]]:
    """The investments that are shipped, in the company that the samples tell of."""
    lake = Lake(folder)
    generate(lake.root / "landing", days=1, events_per_account=1)
    exports = ("crm/accounts", "billing/subscriptions", "billing/cancellations", "billing/fx_rates")
    as_of = date(2025, 6, 30)
    rows = {}
    with Extractor(lake, Rules(date(2020, 1, 1), 0.10)) as extractor:
        for name, export in load_exports(DBT_DIR / "models" / "staging").items():
            if name in exports:
                extractor.extract_day(export, as_of)
                raw = lake.raw_day(export.system, export.name, as_of)
                rows[name.replace("/", "__")] = pl.read_parquet(raw).to_dicts()
    with closing(models.build(World(as_of), **rows)) as database:
        return {row["investment_id"]: row for row in rows_of(database, "mart_investment_roi")}


def test_in_the_samples_the_investment_with_an_effect_is_found_and_the_one_without_is_not(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = in_the_samples(models, tmp_path / "planted")
    found = planted["onboarding_specialists"]
    assert found["status"] == "achieved"
    assert found["did_uplift"] > 5
    assert found["roi"] > 0
    without = planted["smb_newsletter"]
    assert (without["status"], without["achieved_within_3m"]) == ("not_achieved", False)
    assert without["did_uplift"] < 0
    assert without["roi"] < 0
    later = planted["review_programme"]
    assert (later["status"], later["overlap_flag"]) == ("pending", True)
    # The same company, had nothing come of it: what was found is what was planted.
    monkeypatch.setattr(customers, "INVESTMENT_PAYS_OFF", ())
    never = in_the_samples(models, tmp_path / "never")
    assert found["g0"] == never["onboarding_specialists"]["g0"]
    assert found["uplift_pp"] - never["onboarding_specialists"]["uplift_pp"] > 5
    assert found["roi"] - never["onboarding_specialists"]["roi"] > 0.5
    assert never["smb_newsletter"] == without | {
        name: never["smb_newsletter"][name] for name in ("comparison_uplift_pp", "did_uplift")
    }
