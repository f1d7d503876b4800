"""The oracle earns its trust: worked examples, policies by hand, identities on random worlds.

Belongs here: tests of oracle.py alone. Does not belong here: the pipeline's marts; other tests hold
those against the oracle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import pytest
import ravenstack
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from oracle import (
    MARTS,
    Book,
    Policies,
    World,
    account_months,
    churn_scoreboard,
    cohort_retention,
    kaplan_meier,
    keep_book,
    logo_survival,
    mrr_bridge,
    next_month,
    portfolio_growth,
    rescale_churn,
    retention_nrr_grr,
    round_money,
)
from rows import account, cancellation, order, rate, subscription
from strategies import policies, worlds
from worked_examples import FAULTS, WORKED_EXAMPLES, Example

JAN, FEB, MAR, APR, MAY, JUN = (date(2024, month, 1) for month in range(1, 7))
MOVED = ("new_mrr", "reactivation_mrr", "expansion_mrr", "contraction_mrr", "churned_mrr")
ADDITIVE = (
    "opening_mrr",
    *MOVED,
    "fx_mrr",
    "closing_mrr",
    "opening_accounts",
    "new_accounts",
    "reactivated_accounts",
    "expanded_accounts",
    "contracted_accounts",
    "churned_accounts",
    "closing_accounts",
)
Rows = Sequence[dict[str, Any]]


def pick(rows: Rows, **where: Any) -> dict[str, Any]:
    """The one row that has these values."""
    [row] = [row for row in rows if all(row[name] == value for name, value in where.items())]
    return row


def totals(rows: Rows) -> list[dict[str, Any]]:
    return [row for row in rows if row["slice_dimension"] == "total"]


def closing(world: World, *months: date, **chosen: Any) -> list[Decimal]:
    """Closing MRR of the whole world in `months` under the policies `chosen`."""
    rows = totals(mrr_bridge(keep_book(world, Policies(**chosen))))
    return [pick(rows, period_start=month)["closing_mrr"] for month in months]


def of(as_of: date, *rows: dict[str, Any], **others: Any) -> World:
    return World(as_of, subscriptions=rows, **others)


# --------------------------------------------------------------------------------- worked examples


@pytest.mark.parametrize(
    "example",
    [*WORKED_EXAMPLES, *FAULTS],
    ids=[example.name for example in [*WORKED_EXAMPLES, *FAULTS]],
)
def test_worked_example(example: Example) -> None:
    row = pick(MARTS[example.mart](keep_book(example.world, example.policies)), **example.where)
    for name, expected in example.expected.items():
        assert row[name] == (
            pytest.approx(expected, abs=1e-9) if isinstance(expected, float) else expected
        ), name


def test_24_ten_percent_churn_in_a_quarter_is_3_45_percent_a_month_and_34_39_percent_a_year() -> (
    None
):
    assert rescale_churn(0.1, months=3, to_months=1) == pytest.approx(0.034511, abs=5e-7)
    assert rescale_churn(0.1, months=3, to_months=12) == pytest.approx(0.3439)


# ------------------------------------------------------------------------------------ items, cover


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"unit_amount_minor": 1000, "billing_interval": "week"}, "43.333333"),
        ({"unit_amount_minor": 1000, "billing_interval": "day"}, "304.166667"),
        ({"unit_amount_minor": 10000, "interval_count": 3}, "33.333333"),
        ({"unit_amount_minor": 1, "billing_interval": "year", "interval_count": 1}, "0.000833"),
        ({"quantity": 3, "unit_amount_minor": 1000, "discount_percent": Decimal("12.5")}, "26.25"),
        ({"unit_amount_minor": 1000, "currency": "KWD"}, "2"),
        ({"unit_amount_minor": 1000, "currency": "JPY"}, "2000"),
        ({"unit_amount_minor": 1000, "currency": "CLF"}, "0.2"),
    ],
)
def test_a_monthly_amount_is_rounded_once_in_the_base_currency(
    columns: dict[str, Any], expected: str
) -> None:
    rates = [rate(JAN, currency, "2") for currency in ("KWD", "JPY", "CLF")]
    world = of(date(2024, 1, 31), subscription("S", JAN, **columns), fx_rates=rates)
    assert closing(world, JAN) == [Decimal(expected)]


def test_rounding_goes_half_away_from_zero() -> None:
    assert round_money(Fraction(5, 10**7)) == Decimal("0.000001")
    assert round_money(Fraction(-5, 10**7)) == Decimal("-0.000001")


def test_discounts_can_be_left_out() -> None:
    world = of(date(2024, 1, 31), subscription("S", JAN, discount_percent=Decimal(25)))
    assert closing(world, JAN) == [75]
    assert closing(world, JAN, discount_policy="none") == [100]


def test_a_row_earns_after_its_trial_end_and_before_it_only_if_trials_are_included() -> None:
    world = of(date(2024, 2, 29), subscription("S", JAN, trial_end_at=datetime(2024, 2, 14)))
    assert closing(world, FEB) == [100]
    assert [row["period_start"] for row in totals(mrr_bridge(keep_book(world)))] == [FEB]
    assert closing(world, JAN, FEB, trial_policy="include") == [100, 100]


def test_a_paused_row_earns_nothing_from_its_start() -> None:
    world = of(
        date(2024, 3, 31),
        subscription("S", JAN, date(2024, 2, 20)),
        subscription("S", date(2024, 2, 20), status="paused"),
    )
    assert closing(world, JAN, FEB, MAR) == [100, 0, 0]


def test_a_canceled_row_earns_until_its_end_and_nothing_without_one() -> None:
    ended = subscription("S", JAN, date(2024, 3, 5), status="canceled")
    assert closing(of(MAR.replace(day=31), ended), JAN, FEB, MAR) == [100, 100, 0]
    assert mrr_bridge(keep_book(of(MAR, subscription("S", JAN, status="canceled")))) == []


@pytest.mark.parametrize(
    ("grace", "expected"), [(30, [100, 100, 0]), (20, [100, 0, 0]), (60, [100, 100, 100])]
)
def test_past_due_earns_until_the_grace_ends(grace: int, expected: list[int]) -> None:
    world = of(
        date(2024, 3, 31),
        subscription("S", JAN, date(2024, 2, 10)),
        subscription(
            "S", date(2024, 2, 10), status="past_due", past_due_since=datetime(2024, 2, 5)
        ),
    )
    assert closing(world, JAN, FEB, MAR, past_due_grace_days=grace) == expected


def test_an_end_at_the_end_of_as_of_is_open_and_a_moment_earlier_is_churn() -> None:
    at_edge = subscription("S", JAN, date(2024, 2, 16))
    before = subscription("S", JAN, datetime(2024, 2, 15, 23, 59, 59))
    assert closing(of(date(2024, 2, 15), at_edge), FEB) == [100]
    assert logo_survival(keep_book(of(date(2024, 2, 15), at_edge)))[0]["events"] == 0
    assert closing(of(date(2024, 2, 15), before), FEB) == [0]


def test_what_is_dated_after_as_of_does_not_exist_yet() -> None:
    first = subscription("S", JAN, date(2024, 2, 10))
    later = subscription("S", date(2024, 2, 14), amount=500)
    assert closing(of(date(2024, 2, 13), first, later), FEB) == [0]
    assert closing(of(date(2024, 2, 14), first, later), FEB) == [500]


def test_months_close_in_the_reporting_time_zone() -> None:
    # 02:00 UTC on 1 February is still 31 January in New York.
    world = of(date(2024, 2, 29), subscription("S", datetime(2024, 2, 1, 2)))
    assert [row["period_start"] for row in totals(mrr_bridge(keep_book(world)))] == [FEB]
    assert closing(world, JAN, reporting_timezone="America/New_York") == [100]


# ------------------------------------------------------------------------------------- gap, winner


@pytest.mark.parametrize(
    ("back", "days", "expected"),
    [
        (datetime(2024, 2, 5), 7, [100, 40]),
        (datetime(2024, 2, 5, 0, 0, 1), 7, [0, 40]),
        (datetime(2024, 2, 5), 6, [0, 40]),
        (datetime(2024, 2, 2), 0, [0, 40]),
        (datetime(2024, 2, 1), 7, [100, 40]),
    ],
)
def test_a_gap_that_was_filled_in_time_carries_the_last_mrr(
    back: datetime, days: int, expected: list[int]
) -> None:
    world = of(
        date(2024, 2, 29),
        subscription("S", JAN, datetime(2024, 1, 29)),
        subscription("another", back, amount=40),
    )
    assert closing(world, JAN, FEB, gap_tolerance_days=days) == expected


def test_an_end_without_a_follow_up_is_booked_at_once() -> None:
    assert closing(of(date(2024, 1, 31), subscription("S", JAN, date(2024, 1, 29))), JAN) == [0]


def test_a_gap_in_one_subscription_is_none_while_another_one_is_paid() -> None:
    world = of(
        date(2024, 2, 29),
        subscription("S", JAN, date(2024, 1, 30)),
        subscription("S", date(2024, 2, 2)),
        subscription("other", JAN, amount=10),
    )
    assert closing(world, JAN) == [10]


def test_the_latest_start_wins_then_the_larger_mrr_then_the_greater_id() -> None:
    old = subscription("Z", JAN, amount=900)
    ten = subscription("A", date(2024, 1, 10), amount=10, plan_tier="ten")
    twenty = subscription("B", date(2024, 1, 10), amount=20, plan_tier="B")
    tied = subscription("C", date(2024, 1, 10), amount=20, plan_tier="C")
    world = of(date(2024, 1, 31), old, tied, twenty, ten)
    assert closing(world, JAN) == [950]
    assert closing(world, JAN, account_mrr_policy="latest_start") == [20]
    assert keep_book(world).slices["A"]["plan_tier"] == "C"


def test_a_short_free_trial_that_wins_over_a_month_close_is_a_tolerated_gap() -> None:
    world = of(
        date(2024, 2, 29),
        subscription("S", JAN),
        subscription("T", date(2024, 1, 29), date(2024, 2, 2), amount=0, status="trialing"),
    )
    wins = {"account_mrr_policy": "latest_start", "trial_policy": "include"}
    assert closing(world, JAN, FEB, **wins) == [100, 100]
    assert closing(world, JAN, FEB, gap_tolerance_days=0, **wins) == [0, 100]


def test_any_time_counts_the_last_row_of_each_subscription_in_the_month() -> None:
    world = of(
        date(2024, 3, 31),
        subscription("S", JAN, date(2024, 2, 10), amount=70),
        subscription("S", date(2024, 2, 10), date(2024, 2, 20), amount=90),
        subscription("other", date(2024, 2, 3), date(2024, 2, 4), amount=5),
    )
    assert closing(world, JAN, FEB, MAR) == [70, 0, 0]
    assert closing(world, JAN, FEB, MAR, mrr_snapshot="any_time") == [70, 95, 0]
    ended = of(date(2024, 2, 29), subscription("S", JAN, FEB))
    assert closing(ended, JAN, FEB, mrr_snapshot="any_time") == [100, 0]


# -------------------------------------------------------------------------------- movements, churn


def test_free_after_paid_is_churn_or_a_contraction_to_zero() -> None:
    world = of(
        date(2024, 4, 30),
        subscription("S", JAN, date(2024, 2, 10)),
        subscription("S", date(2024, 2, 10), date(2024, 3, 10), amount=0),
        subscription("S", date(2024, 4, 2), amount=30),
    )
    churned = totals(mrr_bridge(keep_book(world)))
    shrunk = totals(mrr_bridge(keep_book(world, Policies(free_after_paid="contraction"))))
    assert [row["churned_mrr"] for row in churned] == [0, 100, 0, 0]
    assert [row["churned_accounts"] for row in churned] == [0, 1, 0, 0]
    assert [row["contraction_mrr"] for row in shrunk] == [0, 100, 0, 0]
    assert [row["churned_accounts"] for row in shrunk] == [0, 0, 1, 0]
    assert [row["reactivation_mrr"] for row in shrunk] == [0, 0, 0, 30]


def test_free_time_keeps_on_only_whom_it_goes_on_from_paid_time() -> None:
    world = of(
        date(2024, 4, 30),
        subscription("S", JAN, date(2024, 2, 10)),
        subscription("F", date(2024, 2, 14), date(2024, 4, 10), amount=0),
        subscription("S", date(2024, 4, 14), amount=30),
        subscription("T", JAN, date(2024, 2, 10), account_id="B"),
        subscription("T", date(2024, 2, 10), date(2024, 3, 30), amount=0, account_id="B"),
        subscription("T", date(2024, 4, 3), amount=30, account_id="B"),
    )
    bridge = totals(mrr_bridge(keep_book(world, Policies(free_after_paid="contraction"))))
    assert [row["churned_mrr"] for row in bridge] == [0, 100, 0, 0]
    assert [row["contraction_mrr"] for row in bridge] == [0, 100, 0, 0]
    assert [row["reactivation_mrr"] for row in bridge] == [0, 0, 0, 30]
    assert [row["expansion_mrr"] for row in bridge] == [0, 0, 0, 30]
    assert [row["closing_accounts"] for row in bridge] == [2, 1, 1, 2]


def test_a_free_customer_who_pays_again_expands_and_a_free_stranger_is_new() -> None:
    world = of(
        date(2024, 3, 31),
        subscription("S", JAN, date(2024, 2, 10)),
        subscription("S", date(2024, 2, 10), date(2024, 3, 10), amount=0),
        subscription("S", date(2024, 3, 10), amount=30),
        subscription("F", JAN, date(2024, 3, 10), amount=0, account_id="F"),
        subscription("F", date(2024, 3, 10), amount=7, account_id="F"),
    )
    march = pick(
        totals(mrr_bridge(keep_book(world, Policies(free_after_paid="contraction")))),
        period_start=MAR,
    )
    assert (march["expansion_mrr"], march["new_mrr"]) == (30, 7)
    assert (march["opening_accounts"], march["closing_accounts"]) == (1, 2)


EURO_WORLD = of(
    date(2024, 3, 31),
    subscription("S", date(2024, 1, 10), date(2024, 3, 10), currency="EUR"),
    subscription("S", date(2024, 3, 10), currency="EUR", amount=120),
    subscription("gone", JAN, date(2024, 2, 10), currency="EUR", account_id="B"),
    subscription("lost", JAN, currency="XAU", account_id="C"),
    fx_rates=[
        rate(date(2024, 1, 5), "EUR", "1.1"),
        rate(date(2024, 2, 29), "EUR", "1.2"),
        rate(date(2024, 3, 31), "EUR", "1"),
        rate(date(2024, 4, 1), "EUR", "9"),
    ],
)


def test_a_constant_rate_is_that_of_the_first_start_else_the_earliest_known() -> None:
    rows = totals(mrr_bridge(keep_book(EURO_WORLD)))
    assert [row["closing_mrr"] for row in rows] == [220, 110, 132]
    assert [row["fx_mrr"] for row in rows] == [0, 0, 0]


def test_at_period_end_rates_the_opening_is_revalued_before_anything_else() -> None:
    rows = totals(mrr_bridge(keep_book(EURO_WORLD, Policies(fx_policy="period_end"))))
    assert [row["closing_mrr"] for row in rows] == [220, 120, 120]
    assert [row["fx_mrr"] for row in rows] == [0, 20, -20]
    assert [row["churned_mrr"] for row in rows] == [0, 120, 0]
    assert [row["expansion_mrr"] for row in rows] == [0, 0, 20]


@pytest.mark.parametrize(
    ("status", "cancellations", "kind"),
    [
        ("active", [], "unknown_reason"),
        ("active", [cancellation(date(2024, 2, 8), is_voluntary=True)], "voluntary"),
        ("active", [cancellation(date(2024, 2, 8), is_voluntary=False)], "involuntary"),
        ("active", [cancellation(date(2024, 2, 8))], "unknown_reason"),
        ("active", [cancellation(date(2023, 12, 8), is_voluntary=True)], "unknown_reason"),
        (
            "active",
            [
                cancellation(date(2024, 1, 8), is_voluntary=True),
                cancellation(date(2024, 2, 8), is_voluntary=False),
            ],
            "involuntary",
        ),
        ("past_due", [cancellation(date(2024, 2, 8), is_voluntary=True)], "involuntary"),
    ],
)
def test_churn_is_voluntary_involuntary_or_of_unknown_reason(
    status: str, cancellations: list[dict[str, Any]], kind: str
) -> None:
    end = date(2024, 2, 10) if status == "active" else None
    row = subscription("S", date(2024, 1, 5), end, status=status)
    world = of(date(2024, 2, 29), row, cancellations=cancellations)
    rows = totals(churn_scoreboard(keep_book(world)))
    counts = {
        name: pick(rows, period_start=FEB)[f"{name}_churned_accounts"]
        for name in ("voluntary", "involuntary", "unknown_reason")
    }
    assert counts == {"voluntary": 0, "involuntary": 0, "unknown_reason": 0} | {kind: 1}


def test_each_churn_of_an_account_has_the_reason_of_its_own_spell() -> None:
    world = of(
        date(2024, 5, 31),
        subscription("S", JAN, date(2024, 2, 10)),
        subscription("S", date(2024, 4, 10), date(2024, 5, 10)),
        cancellations=[
            cancellation(date(2024, 2, 1), is_voluntary=True),
            cancellation(date(2024, 5, 1), is_voluntary=False),
        ],
    )
    rows = totals(churn_scoreboard(keep_book(world)))
    assert [row["voluntary_churned_accounts"] for row in rows] == [0, 1, 0, 0, 0]
    assert [row["involuntary_churned_accounts"] for row in rows] == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("recognition", "churned_in"),
    [("service_end", JUN), ("cancel_effective", APR), ("cancel_requested", MAR)],
)
def test_churn_is_recognised_when_the_policy_says(recognition: Any, churned_in: date) -> None:
    world = of(
        date(2024, 6, 30),
        subscription("S", JAN, date(2024, 6, 20), cancel_requested_at=datetime(2024, 3, 20)),
        cancellations=[
            cancellation(date(2024, 4, 20), subscription_id="S"),
            cancellation(date(2024, 2, 20), subscription_id="another"),
        ],
    )
    rows = totals(mrr_bridge(keep_book(world, Policies(churn_recognition=recognition))))
    assert [row["period_start"] for row in rows if row["churned_accounts"]] == [churned_in]


@pytest.mark.parametrize(
    ("end", "kind"),
    [(date(2024, 2, 8), "unknown_reason"), (date(2024, 2, 9), "involuntary")],
)
def test_a_past_due_row_that_ends_before_its_grace_is_not_ended_by_dunning(
    end: date, kind: str
) -> None:
    row = subscription("S", date(2024, 1, 10), end, status="past_due")
    rows = totals(churn_scoreboard(keep_book(of(date(2024, 2, 29), row))))
    assert pick(rows, period_start=FEB)[f"{kind}_churned_accounts"] == 1


def test_slices_use_the_attributes_of_as_of_and_the_tier_last_paid() -> None:
    world = of(
        date(2024, 2, 29),
        subscription("S", JAN, date(2024, 2, 20), plan_tier="pro"),
        subscription("free", date(2024, 2, 1), amount=0, plan_tier="free"),
        subscription("older", JAN, date(2024, 2, 10), plan_tier="basic"),
        subscription("X", JAN, account_id="stranger", plan_tier=None),
        accounts=[account("A", segment="small", country=None)],
    )
    assert keep_book(world).slices == {
        "A": {
            "total": "all",
            "segment": "small",
            "country": "unknown",
            "acquisition_channel": "ads",
            "plan_tier": "pro",
        },
        "stranger": {
            "total": "all",
            "segment": "unknown",
            "country": "unknown",
            "acquisition_channel": "unknown",
            "plan_tier": "unknown",
        },
    }


# -------------------------------------------------------------- retention, growth, cohort, survival


def test_retention_before_there_is_history_is_null_with_its_reason() -> None:
    world = of(date(2024, 2, 29), subscription("S", JAN))
    rows = totals(retention_nrr_grr(keep_book(world)))
    assert pick(rows, period_start=FEB, window_months=1)["reason_null"] is None
    assert pick(rows, period_start=FEB, window_months=1)["nrr"] == 1
    early = pick(rows, period_start=FEB, window_months=3)
    assert (early["nrr"], early["reason_null"]) == (None, "insufficient_history")


def test_a_month_without_opening_has_no_rate() -> None:
    world = of(date(2024, 4, 30), subscription("S", JAN, date(2024, 2, 10)))
    rows = totals(retention_nrr_grr(keep_book(world)))
    row = pick(rows, period_start=APR, window_months=1)
    assert (row["nrr"], row["grr"], row["logo_retention_rate"]) == (None, None, None)
    assert row["reason_null"] == "no_opening_mrr"


def test_growth_over_twelve_months_is_compounded_and_arpa_is_per_paying_account() -> None:
    world = of(
        date(2025, 1, 31),
        subscription("S", JAN, date(2025, 1, 10)),
        subscription("S", date(2025, 1, 10), amount=150),
        subscription("N", date(2025, 1, 10), amount=50, account_id="B"),
    )
    rows = totals(portfolio_growth(keep_book(world)))
    row = pick(rows, period_start=date(2025, 1, 1))
    assert row["installed_base_growth_rate"] == pytest.approx(0.5)
    assert row["total_growth_rate"] == pytest.approx(1.0)
    assert row["cmgr_12"] == pytest.approx(2 ** (1 / 12) - 1)
    assert (row["arpa"], row["closing_accounts"]) == (100.0, 2)
    assert pick(rows, period_start=date(2024, 12, 1))["cmgr_12"] is None


def test_cohort_cells_count_who_pays_and_end_with_the_last_complete_month() -> None:
    world = of(
        date(2024, 3, 20),
        subscription("S", JAN, date(2024, 2, 10), amount=30),
        subscription("S", date(2024, 3, 10), amount=30),
        subscription("T", JAN, account_id="B", amount=50),
        subscription("U", date(2024, 3, 3), account_id="C"),
        orders=[
            order("1", date(2024, 1, 9), status="cancelled"),
            order("2", date(2024, 1, 31), account_id="B"),
            order("3", date(2024, 2, 2), account_id="B", status="placed"),
            order("4", date(2024, 2, 3)),
        ],
    )
    cells = {
        (row["basis"], row["cohort_start"], row["age_months"]): (row["cohort_size"], row["value"])
        for row in cohort_retention(keep_book(world))
    }
    assert cells == {
        ("logo", JAN, 0): (2, 2),
        ("logo", JAN, 1): (2, 1),
        ("mrr", JAN, 0): (80, 80),
        ("mrr", JAN, 1): (80, 50),
        ("orders", JAN, 0): (1, 1),
        ("orders", JAN, 1): (1, 1),
        ("orders", FEB, 0): (1, 1),
    }


def test_kaplan_meier_by_hand() -> None:
    # S: 1 -> 4/5 at 10; censored at 20; 4/5 x 2/3 at 30; then both last ones are censored.
    rows = kaplan_meier([(10, True), (20, False), (30, True), (40, False), (40, False)])
    assert [(row["age_days"], row["at_risk"], row["events"], row["censored"]) for row in rows] == [
        (10, 5, 1, 0),
        (20, 4, 0, 1),
        (30, 3, 1, 0),
        (40, 2, 0, 2),
    ]
    assert [row["survival"] for row in rows] == pytest.approx([0.8, 0.8, 8 / 15, 8 / 15])
    # Greenwood: 0.64 x (1/20) = 0.032 and (8/15)^2 x (1/20 + 1/6) = 0.0616296.
    assert rows[0]["ci_low"] == pytest.approx(0.8 - 1.96 * 0.032**0.5)
    assert rows[0]["ci_high"] == 1.0
    assert rows[3]["ci_low"] == pytest.approx(8 / 15 - 1.96 * 0.06162963**0.5, abs=1e-6)
    assert kaplan_meier([(5, True)])[0]["ci_low"] is None
    # A half is never reached; the mean of 10 and 30 leaves out the three who never were there.
    summary = ("median_days", "p75_days", "naive_mean_days")
    assert [rows[-1][name] for name in summary] == [None, None, 20]
    # S: 3/4, 1/2, 1/4.
    reached = kaplan_meier([(1, True), (2, True), (6, True), (9, False)])
    assert [reached[0][name] for name in summary] == [2, 6, 3]


def test_survival_follows_first_spells_by_exact_dates() -> None:
    world = of(
        date(2024, 3, 31),
        subscription("S", date(2024, 1, 10), date(2024, 1, 15)),
        subscription("S", date(2024, 2, 10)),
        subscription("T", date(2024, 3, 1), account_id="B"),
    )
    rows = totals(logo_survival(keep_book(world)))
    assert [(row["age_days"], row["events"], row["censored"]) for row in rows] == [
        (5, 1, 0),
        (30, 0, 1),
    ]


# ------------------------------------------------------------------------------------ random worlds

random_worlds = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@given(worlds(), policies())
@random_worlds
def test_the_bridge_closes_and_opens_where_it_closed(world: World, chosen: Policies) -> None:
    book = keep_book(world, chosen)
    rows = mrr_bridge(book)
    assert len(rows) == len(book.months) * len(list(book.sliced()))
    previous: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        assert row["closing_mrr"] == (
            row["opening_mrr"]
            + row["new_mrr"]
            + row["reactivation_mrr"]
            + row["expansion_mrr"]
            - row["contraction_mrr"]
            - row["churned_mrr"]
            + row["fx_mrr"]
        )
        assert row["closing_accounts"] == (
            row["opening_accounts"]
            + row["new_accounts"]
            + row["reactivated_accounts"]
            - row["churned_accounts"]
        )
        assert min(row[name] for name in MOVED) >= 0
        if chosen.fx_policy == "constant":
            assert row["fx_mrr"] == 0
        key = (row["slice_dimension"], row["slice_value"])
        before = previous.get(key, {"closing_mrr": 0, "closing_accounts": 0})
        assert row["opening_mrr"] == before["closing_mrr"]
        assert row["opening_accounts"] == before["closing_accounts"]
        if key in previous:
            assert row["period_start"] == next_month(before["period_start"])
        previous[key] = row
    assert {row["period_start"] for row in previous.values()} <= {world.as_of.replace(day=1)}


@given(worlds(), policies())
@random_worlds
def test_slices_sum_to_the_total(world: World, chosen: Policies) -> None:
    book = keep_book(world, chosen)
    sums: dict[tuple[str, date], dict[str, Any]] = defaultdict(lambda: defaultdict(Decimal))
    for row in mrr_bridge(book):
        for name in ADDITIVE:
            sums[row["slice_dimension"], row["period_start"]][name] += row[name]
    for (_, month), measures in sums.items():
        assert measures == sums["total", month]


@given(worlds(), policies())
@random_worlds
def test_grr_is_at_most_one_and_at_most_nrr_and_churn_is_their_complement(
    world: World, chosen: Policies
) -> None:
    book = keep_book(world, chosen)
    retention = {}
    for row in retention_nrr_grr(book):
        assert (row["nrr"] is None) == (row["reason_null"] is not None)
        if row["nrr"] is not None:
            assert row["grr"] <= min(1, row["nrr"])
        if row["window_months"] == 1:
            retention[row["slice_dimension"], row["slice_value"], row["period_start"]] = row
    for row in churn_scoreboard(book):
        kept = retention[row["slice_dimension"], row["slice_value"], row["period_start"]]
        if kept["nrr"] is not None:
            assert row["net_revenue_churn_rate"] == pytest.approx(1 - kept["nrr"])
            assert row["gross_revenue_churn_rate"] == pytest.approx(1 - kept["grr"])
        if kept["logo_retention_rate"] is not None:
            assert row["logo_churn_rate"] == pytest.approx(1 - kept["logo_retention_rate"])


@given(worlds(), policies())
@random_worlds
def test_every_churned_account_has_one_kind_of_reason(world: World, chosen: Policies) -> None:
    book = keep_book(world, chosen)
    for bridge, row in zip(mrr_bridge(book), churn_scoreboard(book), strict=True):
        assert bridge["churned_accounts"] == (
            row["voluntary_churned_accounts"]
            + row["involuntary_churned_accounts"]
            + row["unknown_reason_churned_accounts"]
        )


@given(worlds(), policies())
@random_worlds
def test_cohort_cells_never_lie_in_the_future_and_add_up_to_the_closes(
    world: World, chosen: Policies
) -> None:
    book = keep_book(world, chosen)
    sums: dict[date, Decimal] = defaultdict(Decimal)
    for row in cohort_retention(book):
        month = next_month(row["cohort_start"], row["age_months"])
        assert next_month(month) <= world.as_of + timedelta(days=1)
        if row["basis"] == "mrr":
            sums[month] += row["value"]
    for bridge in totals(mrr_bridge(book)):
        if bridge["is_complete_period"]:
            assert bridge["closing_mrr"] == sums[bridge["period_start"]]


@given(worlds())
@random_worlds
def test_by_default_mrr_is_what_the_rows_in_force_at_the_close_add_up_to(world: World) -> None:
    """The naive reading, written without the oracle's items: plain rows in dollars, no gaps."""
    rows = [
        row
        for row in world.subscriptions
        if row["status"] == "active" and row["currency"] == "USD" and row["trial_end_at"] is None
    ]
    plain = replace(world, subscriptions=rows)
    per_month = {"month": 1.0, "year": 1 / 12, "week": 52 / 12, "day": 365 / 12}
    as_of_end = datetime.combine(world.as_of, datetime.min.time()) + timedelta(days=1)
    for (name, month), mrr in account_months(
        keep_book(plain, Policies(gap_tolerance_days=0))
    ).items():
        close = min(datetime.combine(next_month(month), datetime.min.time()), as_of_end)
        expected = sum(
            row["quantity"]
            * row["unit_amount_minor"]
            / 100
            * (1 - float(row["discount_percent"] or 0) / 100)
            * per_month[row["billing_interval"]]
            / row["interval_count"]
            for row in rows
            if row["account_id"] == name
            and row["started_at"] < close
            and (row["ended_at"] is None or row["ended_at"] >= close)
        )
        assert float(mrr) == pytest.approx(expected, abs=1e-5)


@given(worlds(), policies(), st.data())
@random_worlds
def test_cutting_a_row_in_two_changes_nothing(
    world: World, chosen: Policies, data: st.DataObject
) -> None:
    """A change of nothing closes a row and opens another: under the sum no number may notice."""
    whole = [row for row in world.subscriptions if row["status"] == "active" and row["ended_at"]]
    assume(whole)
    row = data.draw(st.sampled_from(whole))
    length = row["ended_at"] - row["started_at"]
    cut = row["started_at"] + length * data.draw(st.sampled_from([0.25, 0.5, 0.9]))
    rest = [other for other in world.subscriptions if other is not row]
    halves = [{**row, "ended_at": cut}, {**row, "started_at": cut}]
    chosen = replace(
        chosen,
        account_mrr_policy="sum",
        mrr_snapshot="period_end",
        churn_recognition="service_end",
        fx_policy="constant",
    )
    before = keep_book(world, chosen)
    after = keep_book(replace(world, subscriptions=[*rest, *halves]), chosen)
    assert account_months(after) == account_months(before)
    assert after.spells == before.spells


# --------------------------------------------------------------------------------------- RavenStack

needs_ravenstack = pytest.mark.skipif(
    ravenstack.folder() is None, reason="REFERENCE_DATA names no folder that holds ravenstack"
)
COMBINATIONS = list(product(("sum", "latest_start"), ("exclude", "include"), (0, 7)))


@cache
def ravenstack_book(mrr: Any, trials: Any, gap: int) -> Book:
    chosen = Policies(account_mrr_policy=mrr, trial_policy=trials, gap_tolerance_days=gap)
    return keep_book(ravenstack.world(), chosen)


@needs_ravenstack
def test_ravenstack_has_the_rows_that_its_source_declares() -> None:
    world = ravenstack.world()
    trials = [row for row in world.subscriptions if row["status"] == "trialing"]
    assert len(world.accounts) == 500
    assert len(world.subscriptions) == 5000
    assert len([row for row in world.subscriptions if row["ended_at"] is None]) == 4514
    assert len(trials) == 778
    assert {row["unit_amount_minor"] for row in trials} == {0}
    assert all(row["ended_at"] is None or row["ended_at"].hour == 0 for row in world.subscriptions)


@needs_ravenstack
@pytest.mark.parametrize(("mrr", "trials", "gap"), COMBINATIONS)
def test_the_ravenstack_bridge_closes_in_every_month(mrr: str, trials: str, gap: int) -> None:
    rows = mrr_bridge(ravenstack_book(mrr, trials, gap))
    assert [row["period_start"] for row in totals(rows)] == [
        next_month(date(2023, 1, 1), count) for count in range(24)
    ]
    opening: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        key = (row["slice_dimension"], row["slice_value"])
        gained = row["new_mrr"] + row["reactivation_mrr"] + row["expansion_mrr"]
        assert row["opening_mrr"] == opening[key]
        opening[key] += gained - row["contraction_mrr"] - row["churned_mrr"]
        assert row["closing_mrr"] == opening[key]


@needs_ravenstack
def test_the_last_ravenstack_close_is_what_the_open_rows_of_the_file_add_up_to() -> None:
    open_at_end = [
        int(row["mrr_amount"])
        for row in ravenstack.read("subscriptions")
        if row["end_date"] in ("", "2024-12-31")
    ]
    row = totals(mrr_bridge(ravenstack_book("sum", "exclude", 7)))[-1]
    assert row["closing_mrr"] == sum(open_at_end)
    assert row["is_complete_period"]


@needs_ravenstack
def test_only_a_trial_that_wins_makes_ravenstack_churn() -> None:
    """Fault 5: customers seem lost because a free trial outranks what they pay for."""
    lost = {
        combination: sum(
            row["churned_accounts"] for row in totals(mrr_bridge(ravenstack_book(*combination)))
        )
        for combination in COMBINATIONS
    }
    for (mrr, trials, _), count in lost.items():
        assert (count > 300) == (mrr == "latest_start" and trials == "include")


@needs_ravenstack
def test_the_published_253_churned_accounts_of_ravenstack_are_found_under_its_policies() -> None:
    """METRICS section 4, fault 5: one winner, trials let in, active at any moment, no tolerance."""
    published = Policies("latest_start", "include", "any_time", gap_tolerance_days=0)
    book = keep_book(ravenstack.world(), published)
    lost = {
        name
        for name, month in book.states
        if book.opening(name, month).is_customer and not book.closing(name, month).is_customer
    }
    assert len(lost) == 253


@needs_ravenstack
def test_the_ravenstack_survival_curve_is_that_of_lifelines() -> None:
    lifelines = pytest.importorskip("lifelines")
    book = ravenstack_book("latest_start", "include", 7)
    durations, events = [], []
    for spells in book.spells.values():
        start, end = spells[0]
        durations.append(((end or datetime(2024, 12, 31)) - start).days)
        events.append(end is not None)
    fitter = lifelines.KaplanMeierFitter().fit(durations, events)
    for row in totals(logo_survival(book)):
        assert row["survival"] == pytest.approx(fitter.predict(row["age_days"]))
