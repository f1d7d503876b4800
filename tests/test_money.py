"""Renewals, parts of NRR, plan moves, trials, unit economics: against examples and an oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import oracle
import oracle_money
import pytest
import ravenstack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter  # type: ignore[import-untyped]
from lifelines.utils import (  # type: ignore[import-untyped]
    restricted_mean_survival_time,
)
from models import (
    REGISTRY,
    REVENUE_MEASURES,
    CompileModels,
    Models,
    differences,
    rows_of,
)
from oracle import Policies, Row, World
from rows import account, subscription
from strategies import worlds

MEASURES = (
    *REVENUE_MEASURES,
    "int_revenue__renewal_slice_months",
    "int_revenue__trial_slice_months",
    "int_portfolio__slice_months",
    "int_retention__people_slice_months",
)
# Where a metric that mart_metrics evaluates stands in a mart of its own with a reason beside it:
# metric and column, by mart and column of the reason.
TOLD_TWICE: dict[str, dict[str, dict[str, str]]] = {
    "mart_mrr_bridge": {
        "quick_ratio_reason_null": {"quick_ratio": "quick_ratio"},
        "growth_to_new_ratio_reason_null": {"growth_to_new_ratio": "growth_to_new_ratio"},
    },
    "mart_churn_scoreboard": {
        "reason_null": {"logo_churn_rate": "logo_churn_rate"},
        "revenue_churn_reason_null": {
            name: name for name in ("gross_revenue_churn_rate", "net_revenue_churn_rate")
        },
        "seat_churn_reason_null": {"seat_churn_rate": "seat_churn_rate"},
        "user_churn_reason_null": {"user_churn_rate": "user_churn_rate"},
        "activity_churn_reason_null": {"activity_churn_rate": "activity_churn_rate"},
        "champion_loss_reason_null": {"champion_loss_rate": "champion_loss_rate"},
        "csm_turnover_reason_null": {"csm_turnover_rate": "csm_turnover_rate"},
    },
    "mart_retention_nrr_grr": {
        "reason_null": {
            "nrr": "nrr",
            "nrr_without_reactivation": "nrr_without_reactivation",
            "grr": "grr",
            "grr_without_reactivation": "grr_without_reactivation",
            "nrr_renewed_share": "renewed_share",
        },
        "logo_retention_reason_null": {"logo_retention_rate": "logo_retention_rate"},
    },
    "mart_portfolio_growth": {
        "reason_null": {name: name for name in ("installed_base_growth_rate", "total_growth_rate")},
        "cmgr_12_reason_null": {"growth_factor_12": "cmgr_12"},
        "arpa_reason_null": {"arpa": "arpa"},
        "revenue_concentration_reason_null": {"revenue_concentration": "revenue_concentration"},
    },
    "mart_unit_economics": {
        "arpa_reason_null": {"arpa": "arpa"},
        "churn_6m_reason_null": {"churn_6m": "churn_6m"},
        "ltv_simple_reason_null": {"ltv_simple": "ltv_simple"},
        "ltv_restricted_reason_null": {"ltv_restricted": "ltv_restricted"},
    },
    "mart_renewals": {
        "reason_null": {"renewal_rate": "renewal_rate"},
        "account_renewal_reason_null": {"account_renewal_rate": "account_renewal_rate"},
    },
    "mart_trial_conversion": {
        "reason_null": {"trial_conversion_rate": "conversion_rate"},
        **{
            f"rate_{days}_reason_null": {f"trial_conversion_rate_{days}": f"rate_{days}"}
            for days in (30, 60, 90)
        },
    },
}
COMPUTED: dict[str, Callable[[oracle.Book], list[dict[str, Any]]]] = {
    "mart_renewals": oracle_money.mart_renewals,
    "mart_retention_nrr_grr": oracle_money.nrr_parts,
    "mart_plan_migration": oracle_money.plan_migration,
    "mart_trial_conversion": oracle_money.trial_conversion,
    "mart_unit_economics": oracle_money.unit_economics,
}
KEYS = (
    "slice_dimension",
    "slice_value",
    "period_start",
    "window_months",
    "from_plan",
    "to_plan",
    "cohort_start",
)
NAMES = (
    *COMPUTED,
    "mart_mrr_bridge",
    "fct_mrr_movements",
    "assert_bridge_adds_up",
    "assert_movements_add_up_to_closing_mrr",
    "assert_nrr_is_what_was_renewed_kept_and_expanded",
    "assert_plan_migration_adds_up_to_the_bridge",
    "assert_renewals_are_renewed_lost_or_open",
    "assert_committed_mrr_adds_up",
)
POLICIES = {
    "defaults": Policies(),
    "latest start, trials included": Policies(
        account_mrr_policy="latest_start", trial_policy="include", gap_tolerance_days=0
    ),
    "free is contraction, period end rates": Policies(
        free_after_paid="contraction", fx_policy="period_end"
    ),
    "churn when asked for, at any time, New York": Policies(
        mrr_snapshot="any_time",
        churn_recognition="cancel_requested",
        reporting_timezone="America/New_York",
    ),
    "no grace, at any time": Policies(past_due_grace_days=0, mrr_snapshot="any_time"),
    "no grace, churn when cancelled": Policies(
        past_due_grace_days=0, churn_recognition="cancel_effective"
    ),
}
JAN, FEB, MAR, APR, MAY, JUN = (date(2024, month, 1) for month in range(1, 7))


@contextmanager
def built(
    compile_models: CompileModels, world: World, policies: Policies | None = None, **tables: Any
) -> Iterator[duckdb.DuckDBPyConnection]:
    models: Models = compile_models(policies or Policies(), NAMES)
    with closing(models.build(world, **tables)) as database:
        assert not models.broken_identities(database)
        yield database


def total(rows: list[dict[str, Any]], month: date, **where: Any) -> dict[str, Any]:
    """The one row of `rows` for the total, the month and what else is asked for."""
    wanted = {"slice_dimension": "total", "period_start": month} | where
    [row] = [r for r in rows if all(r[k] == v for k, v in wanted.items() if k in r)]
    return row


def of(row: dict[str, Any], *columns: str) -> list[Any]:
    return [row[column] for column in columns]


# ---------------------------------------------------------------------------------------- renewals

OUTCOME = ("exposed_mrr", "renewed_mrr", "renewed_capped", "lost_mrr", "open_mrr")


def contract(
    name: str, amount: int, then: int | None, *, account_id: str, **columns: Any
) -> list[dict[str, Any]]:
    """A year of `amount` that ends on 20 March 2024, and what it is renewed at."""
    start, end = date(2023, 3, 21), date(2024, 3, 21)
    shared: dict[str, Any] = {
        "account_id": account_id,
        "term_end_date": date(2024, 3, 20),
    } | columns
    rows = [subscription(name, start, end, amount=amount, **shared)]
    if then:
        shared["term_end_date"] = date(2025, 3, 20)
        rows.append(subscription(name, end, amount=then, **shared))
    return rows


def renewals(compile_models: CompileModels, *rows: Row, as_of: date = APR) -> dict[str, Any]:
    with built(compile_models, World(as_of, subscriptions=rows)) as database:
        return total(rows_of(database, "mart_renewals"), MAR)


def test_44_won_120_of_available_100_is_a_renewal_rate_of_100_percent(
    compile_models: CompileModels,
) -> None:
    row = renewals(compile_models, *contract("S", 100, 120, account_id="A"))
    assert of(row, *OUTCOME) == [100, 120, 100, 0, 0]
    assert of(row, "renewal_rate", "best_case_rate", "account_renewal_rate") == [1, 1, 1]


def test_44_won_80_of_100_is_a_renewal_rate_of_80_percent(compile_models: CompileModels) -> None:
    row = renewals(compile_models, *contract("S", 100, 80, account_id="A"))
    assert of(row, *OUTCOME) == [100, 80, 80, 20, 0]
    assert row["renewal_rate"] == 0.8


def test_44_the_cap_holds_contract_by_contract_and_not_for_their_sum(
    compile_models: CompileModels,
) -> None:
    row = renewals(
        compile_models,
        *contract("S", 100, 120, account_id="A"),
        *contract("T", 100, 80, account_id="A"),
    )
    assert of(row, *OUTCOME) == [200, 200, 180, 20, 0]
    assert of(row, "exposed_accounts", "renewed_accounts", "renewal_rate") == [1, 1, 0.9]


def ended(name: str, **columns: Any) -> dict[str, Any]:
    """A contract of 100 whose last day is 20 March 2024 and that ends then."""
    return contract(name, 100, None, account_id=name, **columns)[0]


@pytest.mark.parametrize(
    ("follow_up", "outcome"),
    [
        pytest.param([], [100, 0, 0, 100, 0], id="nothing follows"),
        pytest.param(
            [subscription("A", date(2024, 3, 28))], [100, 100, 100, 0, 0], id="7 days later"
        ),
        pytest.param(
            [
                subscription(
                    "A",
                    date(
                        2024,
                        3,
                        28,
                    ),
                    amount=0,
                )
            ],
            [100, 0, 0, 100, 0],
            id="for nothing",
        ),
        pytest.param(
            [subscription("A", date(2024, 3, 29))], [100, 0, 0, 100, 0], id="8 days later"
        ),
        pytest.param(
            [subscription("B", date(2024, 3, 21), amount=70)],
            [100, 70, 70, 30, 0],
            id="by a subscription of another name",
        ),
        pytest.param(
            [subscription("B", date(2024, 1, 21), amount=70)],
            [100, 0, 0, 100, 0],
            id="beside a subscription that was there before",
        ),
        pytest.param(
            [subscription("A", date(2024, 3, 21), date(2024, 4, 20), status="past_due")],
            [100, 0, 0, 100, 0],
            id="an invoice that is never paid",
        ),
        pytest.param(
            [
                subscription("A", date(2024, 3, 21), date(2024, 4, 10), status="past_due"),
                subscription("A", date(2024, 4, 10)),
            ],
            [100, 100, 100, 0, 0],
            id="an invoice that is paid after reminders",
        ),
    ],
)
def test_a_contract_is_renewed_by_what_is_paid_for_after_it(
    compile_models: CompileModels, follow_up: list[Row], outcome: list[int]
) -> None:
    row = renewals(compile_models, ended("A"), *follow_up, as_of=date(2024, 5, 31))
    assert of(row, *OUTCOME) == outcome


def test_a_contract_is_open_through_its_last_day_and_while_a_late_renewal_may_come(
    compile_models: CompileModels,
) -> None:
    running = ended("A") | {"ended_at": None}
    before = renewals(compile_models, running, as_of=date(2024, 3, 20))
    assert of(before, *OUTCOME) == [100, 0, 0, 0, 100]
    assert of(before, "renewal_rate", "best_case_rate", "reason_null") == [
        None,
        1,
        "nothing_decided",
    ]
    assert of(renewals(compile_models, ended("A"), as_of=date(2024, 3, 27)), *OUTCOME)[-1] == 100
    lost = renewals(compile_models, ended("A"), as_of=date(2024, 3, 28))
    assert of(lost, *OUTCOME) == [100, 0, 0, 100, 0]
    goes_on = renewals(compile_models, running, as_of=date(2024, 3, 21))
    assert of(goes_on, *OUTCOME) == [100, 100, 100, 0, 0]


def test_a_cancelled_contract_is_lost_at_once(compile_models: CompileModels) -> None:
    row = renewals(compile_models, ended("A", status="canceled"), as_of=date(2024, 3, 22))
    assert of(row, *OUTCOME) == [100, 0, 0, 100, 0]


def test_a_cancelled_contract_that_has_still_to_run_out_is_lost_as_well(
    compile_models: CompileModels,
) -> None:
    runs_out = contract("A", 100, None, account_id="A")[0] | {
        "ended_at": midnight(date(2024, 3, 5))
    }
    cancelled = ended("A", status="canceled") | {"started_at": midnight(date(2024, 3, 5))}
    row = renewals(compile_models, runs_out, cancelled, as_of=date(2024, 3, 10))
    assert of(row, *OUTCOME) == [100, 0, 0, 100, 0]
    assert of(row, "renewal_rate", "best_case_rate", "lost_accounts") == [0, 0, 1]


UNPAID: dict[str, Any] = {
    "term_end_date": date(2024, 3, 20),
    "status": "past_due",
    "past_due_since": datetime(2024, 3, 1),
}
PAID_LATE = [
    subscription("A", MAR, date(2024, 4, 2), **UNPAID),
    subscription("A", date(2024, 4, 2), term_end_date=date(2025, 3, 20)),
]


@pytest.mark.parametrize(
    ("then", "as_of", "outcome"),
    [
        pytest.param(
            [subscription("A", MAR, **UNPAID)],
            date(2024, 3, 15),
            [100, 0, 0, 0, 100],
            id="open while it is overdue",
        ),
        pytest.param(
            [subscription("A", MAR, **UNPAID)],
            date(2024, 4, 30),
            [100, 0, 0, 100, 0],
            id="lost once its grace has run out",
        ),
        pytest.param(
            PAID_LATE, date(2024, 4, 30), [100, 100, 100, 0, 0], id="renewed once it is paid"
        ),
    ],
)
def test_a_contract_that_is_overdue_before_the_month_of_its_last_day_is_up_for_renewal_in_it(
    compile_models: CompileModels, then: list[Row], as_of: date, outcome: list[int]
) -> None:
    paid = subscription("A", date(2023, 3, 21), MAR, term_end_date=date(2024, 3, 20))
    assert of(renewals(compile_models, paid, *then, as_of=as_of), *OUTCOME) == outcome


def test_a_contract_written_off_before_the_month_of_its_last_day_is_not_up_for_renewal(
    compile_models: CompileModels,
) -> None:
    paid = subscription("A", date(2023, 3, 21), date(2024, 1, 15), term_end_date=date(2024, 3, 20))
    unpaid = subscription(
        "A", date(2024, 1, 15), **UNPAID | {"past_due_since": datetime(2024, 1, 15)}
    )
    world = World(date(2024, 4, 30), subscriptions=[paid, unpaid])
    with built(compile_models, world) as database:
        assert rows_of(database, "mart_renewals") == []


def test_two_contracts_renewed_by_one_subscription_share_it(compile_models: CompileModels) -> None:
    one, two = ended("A"), ended("B") | {"account_id": "A"}
    new = subscription("C", date(2024, 3, 21), amount=150, account_id="A")
    row = renewals(compile_models, one, two, new)
    assert of(row, *OUTCOME) == [200, 150, 150, 50, 0]


def test_without_a_term_nothing_is_up_for_renewal(compile_models: CompileModels) -> None:
    world = World(MAY, subscriptions=[subscription("S", JAN, date(2024, 3, 20))])
    with built(compile_models, world) as database:
        assert rows_of(database, "mart_renewals") == []


def test_a_term_of_a_calendar_year_is_renewed_in_december_and_shows_in_the_nrr_of_january(
    compile_models: CompileModels,
) -> None:
    year = subscription("S", date(2023, 1, 1), JAN, term_end_date=date(2023, 12, 31))
    again = subscription("S", JAN, amount=150, term_end_date=date(2024, 12, 31))
    stays = subscription("T", date(2023, 1, 1), account_id="B")
    with built(compile_models, World(FEB, subscriptions=[year, again, stays])) as database:
        december = total(rows_of(database, "mart_renewals"), date(2023, 12, 1))
        nrr = total(rows_of(database, "mart_retention_nrr_grr"), JAN, window_months=1)
    assert of(december, *OUTCOME) == [100, 150, 100, 0, 0]
    assert of(nrr, "nrr", "grr") == [1.25, 1]
    assert of(nrr, "renewed_share", "retained_share", "expansion_share") == [0.5, 0.5, 0.25]


# ------------------------------------------------------------------------------------------ trials


def trial(name: str, start: date, then: date | None = None, **columns: Any) -> list[Row]:
    """A trial of 14 days, and a paid row of 100 since `then`."""
    ends = start + timedelta(days=14)
    rows: list[Row] = [
        subscription(
            name, start, ends, account_id=name, status="trialing", trial_end_at=midnight(ends)
        )
    ]
    if then:
        rows.append(subscription(name, then, account_id=name, **columns))
    return rows


def midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time())


def conversion(compile_models: CompileModels, rows: Sequence[Row], as_of: date) -> Any:
    with built(compile_models, World(as_of, subscriptions=rows)) as database:
        return {row["cohort_start"]: row for row in rows_of(database, "mart_trial_conversion")}


def test_11_of_ten_trials_in_may_five_pay_which_is_50_percent(
    compile_models: CompileModels,
) -> None:
    rows = [
        row
        for index in range(10)
        for row in trial(
            f"T{index}", date(2024, 5, 2 + index), date(2024, 5, 16 + index) if index < 5 else None
        )
    ]
    may = conversion(compile_models, rows, date(2024, 7, 31))[MAY]
    assert of(may, "started", "matured", "converted", "conversion_rate") == [10, 10, 5, 0.5]


@pytest.mark.parametrize(
    ("paid", "rates"),
    [
        (date(2024, 2, 14), [1, 1, 1]),
        (date(2024, 2, 15), [0, 1, 1]),
        (date(2024, 3, 15), [0, 1, 1]),
        (date(2024, 3, 16), [0, 0, 1]),
        (date(2024, 4, 15), [0, 0, 0]),
    ],
)
def test_windows_are_counted_from_the_end_of_the_trial(
    compile_models: CompileModels, paid: date, rates: list[int]
) -> None:
    found = conversion(compile_models, trial("T", JAN, paid), JUN)[JAN]
    assert of(found, "rate_30", "rate_60", "rate_90") == rates


def test_a_cohort_has_no_rate_until_its_last_trial_has_had_its_time(
    compile_models: CompileModels,
) -> None:
    rows = [*trial("S", JAN, date(2024, 1, 15)), *trial("T", date(2024, 1, 30))]
    # The time of T ends with the first instant of 14 March, at which it may still be paid for.
    early = conversion(compile_models, rows, date(2024, 3, 13))[JAN]
    assert of(early, "matured", "converted", "rate_30", "reason_null") == [1, 1, None, "too_early"]
    late = conversion(compile_models, rows, date(2024, 3, 14))[JAN]
    assert of(late, "matured", "rate_30", "rate_60", "reason_null") == [2, 0.5, None, None]


def test_a_trial_matures_when_its_last_instant_to_convert_is_past(
    compile_models: CompileModels,
) -> None:
    rows = trial("T", JAN, date(2024, 2, 14))
    before = conversion(compile_models, rows, date(2024, 2, 13))[JAN]
    assert of(before, "matured", "converted", "rate_30") == [0, 0, None]
    after = conversion(compile_models, rows, date(2024, 2, 14))[JAN]
    assert of(after, "matured", "converted", "rate_30") == [1, 1, 1]


@pytest.mark.parametrize("mrr_snapshot", ["period_end", "any_time"])
@pytest.mark.parametrize("past_due_grace_days", [30, 10, 0])
def test_a_first_payment_has_failed_whatever_the_grace(
    compile_models: CompileModels, past_due_grace_days: int, mrr_snapshot: Any
) -> None:
    due = date(2024, 1, 15)
    rows = trial("F", JAN, due, status="past_due", past_due_since=midnight(due))
    policies = Policies(past_due_grace_days=past_due_grace_days, mrr_snapshot=mrr_snapshot)
    with built(compile_models, World(MAY, subscriptions=rows), policies) as database:
        found = {row["cohort_start"]: row for row in rows_of(database, "mart_trial_conversion")}
    assert of(found[JAN], "matured", "converted", "failed_first_payment") == [1, 0, 1]


def test_a_failed_first_payment_is_a_missed_conversion(compile_models: CompileModels) -> None:
    due = midnight(date(2024, 1, 15))
    failed = trial("F", JAN, date(2024, 1, 15), status="past_due", past_due_since=due)
    written_off = trial(
        "W",
        JAN,
        date(2024, 1, 15),
        status="canceled",
        past_due_since=due,
        ended_at=midnight(date(2024, 2, 20)),
    )
    recovered = [
        *trial(
            "R",
            JAN,
            date(2024, 1, 15),
            status="past_due",
            past_due_since=due,
            ended_at=midnight(date(2024, 1, 25)),
        ),
        subscription("R", date(2024, 1, 25), account_id="R"),
    ]
    found = conversion(compile_models, [*failed, *written_off, *recovered], MAY)[JAN]
    assert of(found, "started", "converted", "failed_first_payment") == [3, 1, 2]


def test_a_trial_within_a_paid_row_counts_and_one_of_a_paying_account_does_not(
    compile_models: CompileModels,
) -> None:
    inside = subscription("I", JAN, account_id="I", trial_end_at=midnight(date(2024, 1, 15)))
    pays = subscription("P", date(2023, 12, 1), account_id="P")
    tries = trial("U", JAN, date(2024, 1, 15))
    rows = [inside, pays, *(dict(row) | {"account_id": "P"} for row in tries)]
    found = conversion(compile_models, rows, MAY)[JAN]
    assert of(found, "started", "converted", "rate_30") == [1, 1, 1]


def test_a_trial_of_an_account_that_pays_late_is_of_a_paying_account(
    compile_models: CompileModels,
) -> None:
    since, recovered = date(2023, 12, 28), date(2024, 1, 10)
    rows = [
        subscription("S", date(2023, 1, 1), since, account_id="P"),
        subscription("S", since, recovered, account_id="P", status="past_due",
                     past_due_since=midnight(since)),
        subscription("S", recovered, account_id="P"),
        *(dict(row) | {"account_id": "P"} for row in trial("T", date(2024, 1, 5))),
    ]  # fmt: skip
    found = conversion(compile_models, rows, MAY).values()
    assert [row for row in found if row["started"]] == []


def test_a_canceled_row_without_an_end_is_no_trial_either(compile_models: CompileModels) -> None:
    void = subscription("V", JAN, status="canceled", trial_end_at=midnight(date(2024, 1, 15)))
    found = conversion(compile_models, [void, *trial("T", JAN, date(2024, 1, 15))], MAY)[JAN]
    assert of(found, "started", "converted", "rate_30") == [1, 1, 1]


def test_a_month_without_trials_has_no_rate(compile_models: CompileModels) -> None:
    found = conversion(compile_models, trial("T", JAN), JUN)
    assert of(found[FEB], "started", "rate_30", "reason_null") == [0, None, "no_trials"]


# ---------------------------------------------------------------------------------- unit economics


def steady_loss(lost: int) -> list[Row]:
    """A hundred accounts at 100, of whom `lost` are replaced in the middle of each month."""
    rows: list[Row] = []
    alive = [(f"A{index:03}", date(2022, 12, 1)) for index in range(100)]
    for month in (JAN, FEB, MAR, APR, MAY, JUN):
        for name, start in alive[:lost]:
            rows.append(subscription(name, start, month.replace(day=15), account_id=name))
        names = [f"B{month.month}{index:03}" for index in range(lost)]
        alive = alive[lost:] + [(name, month.replace(day=15)) for name in names]
    return rows + [subscription(name, start, account_id=name) for name, start in alive]


def test_10_arpa_100_and_churn_of_5_percent_over_six_months_is_a_lifetime_value_of_2000(
    compile_models: CompileModels,
) -> None:
    world = World(date(2024, 7, 31), subscriptions=steady_loss(5))
    with built(compile_models, world) as database:
        july = total(rows_of(database, "mart_unit_economics"), date(2024, 7, 1))
    assert of(july, "arpa", "ltv_simple", "ltv_simple_reason_null") == [100, 2000, None]
    assert july["churn_6m"] == pytest.approx(0.05)


def test_10_without_churn_there_is_no_simple_lifetime_value_but_a_restricted_one(
    compile_models: CompileModels,
) -> None:
    world = World(date(2024, 7, 31), subscriptions=steady_loss(0))
    with built(compile_models, world) as database:
        july = total(rows_of(database, "mart_unit_economics"), date(2024, 7, 1))
    assert of(july, "churn_6m", "ltv_simple", "ltv_simple_reason_null") == [0, None, "no_churn"]
    assert float(july["ltv_restricted"]) == pytest.approx(3600)
    assert of(july, "cac", "payback_months", "cac_reason_null") == [None, None, "no_spend"]


def test_smoothed_churn_leaves_the_month_itself_out_and_wants_six_before(
    compile_models: CompileModels,
) -> None:
    rows = [
        subscription(f"S{index}", date(2023, 12, 5), account_id=f"A{index}") for index in range(9)
    ]
    rows.append(subscription("L", date(2023, 12, 5), date(2024, 7, 9), account_id="L"))
    with built(compile_models, World(date(2024, 8, 10), subscriptions=rows)) as database:
        mart = rows_of(database, "mart_unit_economics")
    found = {month: total(mart, date(2024, month, 1)) for month in (6, 7, 8)}
    assert of(found[6], "churn_6m", "ltv_simple_reason_null") == [None, "insufficient_history"]
    assert of(found[7], "churn_6m", "ltv_simple_reason_null") == [0, "no_churn"]
    assert found[8]["churn_6m"] == pytest.approx(0.1 / 6)


def test_the_restricted_lifetime_is_that_of_lifelines(compile_models: CompileModels) -> None:
    rows = [
        subscription(
            f"S{index}",
            JAN,
            JAN + timedelta(days=30 * index) if index else None,
            account_id=f"A{index}",
        )
        for index in range(1, 9)
    ]
    rows.append(subscription("open", JAN, account_id="open"))
    with built(compile_models, World(date(2024, 6, 30), subscriptions=rows)) as database:
        row = total(rows_of(database, "mart_unit_economics"), JUN)
    watched = 181
    ages = [30 * index if 30 * index < watched else watched for index in range(1, 9)] + [watched]
    fitted = KaplanMeierFitter().fit(ages, [age < watched for age in ages])
    held = fitted.survival_function_["KM_estimate"].iloc[-1]
    area = restricted_mean_survival_time(fitted, t=watched) + held * (1095 - watched)
    assert row["lifetime_months_restricted"] == pytest.approx(area * 12 / 365)


def test_committed_mrr_adds_what_is_contracted_and_takes_out_what_is_asked_to_end(
    compile_models: CompileModels,
) -> None:
    rows = [
        subscription("stays", JAN, account_id="A"),
        subscription(
            "asked", JAN, account_id="B", amount=40, cancel_requested_at=midnight(date(2024, 5, 3))
        ),
        subscription("grows", JAN, JUN, account_id="C", amount=60),
        subscription("grows", JUN, account_id="C", amount=90),
        subscription("comes", date(2024, 7, 1), account_id="D", amount=25),
        *trial("tries", date(2024, 5, 10)),
    ]
    with built(compile_models, World(date(2024, 5, 20), subscriptions=rows)) as database:
        mart = rows_of(database, "mart_unit_economics")
    may = total(mart, MAY)
    assert of(may, "closing_mrr", "contracted_mrr", "scheduled_loss_mrr", "committed_mrr") == [
        200,
        55,
        40,
        215,
    ]
    assert may["trial_mrr"] == 100
    assert total(mart, APR)["committed_mrr"] is None


@pytest.mark.parametrize("mrr_snapshot", ["period_end", "any_time"])
def test_what_a_grace_has_ended_is_not_committed_in_its_month(
    compile_models: CompileModels, mrr_snapshot: Any
) -> None:
    since = date(2024, 2, 9)
    rows = [
        subscription("unpaid", since, status="past_due", past_due_since=midnight(since)),
        subscription("ended", JAN, date(2024, 3, 10)),
        subscription("lives", JAN),
    ]
    world = World(date(2024, 3, 20), subscriptions=rows)
    with built(compile_models, world, Policies(mrr_snapshot=mrr_snapshot)) as database:
        march = total(rows_of(database, "mart_unit_economics"), MAR)
    assert march["committed_mrr"] == 100


# ------------------------------------------------------------------------------------------- plans


def test_plans_move_from_none_to_none_and_sum_to_the_bridge(compile_models: CompileModels) -> None:
    rows = [
        subscription("up", JAN, date(2024, 2, 10), account_id="A"),
        subscription(
            "up", date(2024, 2, 10), amount=150, plan_id="p", plan_tier="pro", account_id="A"
        ),
        subscription("goes", JAN, date(2024, 2, 10), account_id="B"),
        subscription("comes", date(2024, 2, 10), account_id="C", plan_tier=None),
        subscription("stays", JAN, date(2024, 2, 10), account_id="D"),
        subscription("stays", date(2024, 2, 10), quantity=3, account_id="D"),
    ]
    with built(compile_models, World(date(2024, 2, 29), subscriptions=rows)) as database:
        february = [r for r in rows_of(database, "mart_plan_migration") if r["period_start"] == FEB]
    found = {
        (r["from_plan"], r["to_plan"]): of(r, "accounts", "mrr_delta", "cause") for r in february
    }
    assert found == {
        ("basic", "pro"): [1, 50, "plan"],
        ("basic", "none"): [1, -100, "subscription_ended"],
        ("none", "unknown"): [1, 100, "subscription_started"],
        ("basic", "basic"): [1, 200, "seats"],
    }


@pytest.mark.parametrize(
    ("ends", "begins", "after", "cause"),
    [
        (date(2024, 2, 10), date(2024, 2, 10), {"quantity": 4}, "seats"),
        (date(2024, 1, 30), date(2024, 2, 3), {"quantity": 4}, "seats"),
        (date(2024, 1, 30), date(2024, 2, 3), {"plan_id": "p", "plan_tier": "lite"}, "plan"),
        (date(2024, 2, 10), date(2024, 2, 10),
         {"plan_id": "basic-year", "billing_interval": "year", "amount": 1080}, "term"),
    ],
    ids=["seats", "seats at a late renewal", "a plan at a late renewal", "a longer term"],
)  # fmt: skip
def test_a_movement_has_the_cause_of_what_changed(
    compile_models: CompileModels, ends: date, begins: date, after: Row, cause: str
) -> None:
    columns: Row = {"quantity": 5, "amount": 90, **after}
    rows = [subscription("S", JAN, ends, quantity=5), subscription("S", begins, **columns)]
    with built(compile_models, World(date(2024, 2, 29), subscriptions=rows)) as database:
        moved = {row["occurred_date"]: row for row in rows_of(database, "fct_mrr_movements")}
    assert of(moved[begins], "movement_type", "cause") == ["contraction", cause]


def test_what_moves_where_the_latest_start_counts_has_a_cause(
    compile_models: CompileModels,
) -> None:
    rows = [
        subscription("paid", JAN, account_id="A"),
        subscription("free", date(2024, 3, 1), date(2024, 5, 1), amount=0, account_id="A"),
        subscription("late", JAN, date(2024, 4, 10), amount=50, account_id="B"),
        subscription("late", date(2024, 4, 10), amount=50, account_id="B", status="past_due"),
        subscription("new", date(2024, 2, 1), account_id="B"),
    ]
    world = World(date(2024, 5, 20), subscriptions=rows)
    policies = Policies(account_mrr_policy="latest_start", past_due_grace_days=90)
    with built(compile_models, world, policies) as database:
        moves = rows_of(database, "fct_mrr_movements")
    told = [of(r, "account_id", "occurred_date", "movement_type", "cause") for r in moves]
    assert sorted(told) == [
        ["A", JAN, "new", "subscription_started"],
        ["A", date(2024, 3, 1), "churn", "subscription_started"],
        ["A", date(2024, 5, 1), "reactivation", "subscription_ended"],
        ["B", JAN, "new", "subscription_started"],
        ["B", date(2024, 2, 1), "expansion", "subscription_started"],
        ["B", date(2024, 4, 10), "contraction", "subscription_started"],
    ]


def test_free_time_is_a_customer_s_only_where_it_goes_on_from_paid_time(
    compile_models: CompileModels,
) -> None:
    rows = [
        # Away for a free plan that came too late to keep anybody on.
        subscription("S", JAN, date(2024, 2, 20), account_id="A"),
        subscription("S", date(2024, 3, 1), date(2024, 5, 10), amount=0, account_id="A"),
        subscription("S", date(2024, 5, 10), amount=200, account_id="A"),
        # On a free plan at once, and late to pay again.
        subscription("T", JAN, date(2024, 2, 20), account_id="B"),
        subscription("T", date(2024, 2, 20), date(2024, 4, 28), amount=0, account_id="B"),
        subscription("T", date(2024, 5, 3), amount=200, account_id="B"),
    ]
    world = World(date(2024, 5, 20), subscriptions=rows)
    with built(compile_models, world, Policies(free_after_paid="contraction")) as database:
        moves = rows_of(database, "fct_mrr_movements")
        bridge = [
            r for r in rows_of(database, "mart_mrr_bridge") if r["slice_dimension"] == "total"
        ]
    told = [of(r, "account_id", "occurred_date", "movement_type", "days_away") for r in moves]
    assert sorted(told) == [
        ["A", JAN, "new", None],
        ["A", date(2024, 2, 20), "churn", None],
        ["A", date(2024, 5, 10), "reactivation", 80],
        ["B", JAN, "new", None],
        ["B", date(2024, 2, 20), "contraction", None],
        ["B", date(2024, 5, 3), "expansion", None],
    ]
    told = [of(r, "churned_mrr", "contraction_mrr", "closing_accounts") for r in bridge]
    assert told == [[0, 0, 2], [100, 100, 1], [0, 0, 1], [0, 0, 1], [0, 0, 2]]


def test_a_month_begins_when_its_clock_first_shows_midnight(compile_models: CompileModels) -> None:
    # In Havana that hour of the first of November came twice.
    twice = datetime(2026, 11, 1, 4, 30)
    rows = [
        subscription("a", date(2026, 9, 1), account_id="A"),
        subscription("b", twice, account_id="B"),
        subscription("c", date(2026, 9, 1), twice, account_id="C"),
    ]
    models = compile_models(Policies(reporting_timezone="America/Havana"), NAMES)
    with closing(models.build(World(date(2026, 11, 20), subscriptions=rows))) as database:
        assert models.broken_identities(database) == {}
        bridge = [
            r for r in rows_of(database, "mart_mrr_bridge") if r["slice_dimension"] == "total"
        ]
    assert [row["closing_mrr"] for row in bridge[-3:]] == [200, 200, 200]
    assert [of(row, "new_mrr", "churned_mrr") for row in bridge[-2:]] == [[0, 0], [100, 100]]


def test_who_left_is_judged_by_the_life_that_the_month_began_with(
    compile_models: CompileModels,
) -> None:
    rows = [
        subscription("S", JAN, date(2024, 5, 3)),
        subscription("S", date(2024, 5, 14), date(2024, 5, 16)),
    ]
    models = compile_models(Policies(), (*NAMES, "mart_churn_scoreboard"))
    with closing(models.build(World(date(2024, 5, 31), subscriptions=rows))) as database:
        may = total(rows_of(database, "mart_churn_scoreboard"), MAY)
    assert of(may, "early_churned_accounts", "late_churned_accounts") == [0, 1]
    assert may["same_period_churned_accounts"] == 1


def test_an_amount_that_no_mrr_holds_is_no_trial_s_either(compile_models: CompileModels) -> None:
    huge = {"unit_amount_minor": 2**63 - 1, "quantity": 5}
    rows = [dict(row) | huge for row in trial("huge", date(2024, 5, 10))]
    world = World(date(2024, 5, 20), subscriptions=[*rows, subscription("S", JAN)])
    with built(compile_models, world, Policies(fx_policy="period_end")) as database:
        may = total(rows_of(database, "mart_unit_economics"), MAY)
    assert of(may, "closing_mrr", "trial_mrr") == [100, 0]


def test_slices_are_told_apart_whatever_their_values_are_called(
    compile_models: CompileModels,
) -> None:
    accounts = [
        account("P", acquisition_channel="ads/country=DE", country="FR"),
        account("Q", acquisition_channel="ads", country="DE/country=FR"),
    ]
    rows = [subscription(name, JAN, account_id=name, amount=100) for name in "PQ"]
    rows[1]["unit_amount_minor"] *= 3
    world = World(date(2024, 5, 20), subscriptions=rows, accounts=accounts)
    with built(compile_models, world) as database:
        bridge = rows_of(database, "mart_mrr_bridge")
    found = {
        row["slice_value"]: row["closing_mrr"]
        for row in bridge
        if row["slice_dimension"] == "country" and row["period_start"] == MAY
    }
    assert found == {"FR": 100, "DE/country=FR": 300}


def test_a_plan_that_is_called_none_is_paid_for_all_the_same(compile_models: CompileModels) -> None:
    rows = [
        subscription("S", JAN, plan_tier="none", account_id="A"),
        subscription("T", JAN, date(2024, 2, 10), plan_tier="none", account_id="B"),
    ]
    models = compile_models(Policies(), NAMES)
    with closing(models.build(World(date(2024, 2, 29), subscriptions=rows))) as database:
        assert models.broken_identities(database) == {}
        moves = [r for r in rows_of(database, "mart_plan_migration") if r["period_start"] == FEB]
    assert [of(row, "accounts", "opening_accounts", "closing_accounts") for row in moves] == [
        [2, 2, 1]
    ]


def test_half_and_three_quarters_are_reached_where_so_many_have_left(
    compile_models: CompileModels,
) -> None:
    # Of 24 accounts one leaves each day: the doubles multiplied miss half and quarter by a digit.
    rows = [
        subscription(f"S{n}", JAN, JAN + timedelta(30 + n) if n < 18 else None, account_id=f"A{n}")
        for n in range(24)
    ]
    models = compile_models(Policies(), ("mart_survival_curve",))
    with closing(models.build(World(date(2024, 5, 20), subscriptions=rows))) as database:
        curve = rows_of(database, "mart_survival_curve")
    total = [row for row in curve if row["slice_dimension"] == "total"]
    assert {(row["median_days"], row["p75_days"]) for row in total} == {(41, 47)}
    assert {row["naive_mean_days"] for row in total} == {(30 + 47) / 2}


# ---------------------------------------------------------------------------------- random worlds


@st.composite
def termed_worlds(draw: st.DrawFn) -> World:
    """Worlds some of whose rows have a term: it ends with them, before them or after them."""
    world = draw(worlds())
    rows = [dict(row) for row in world.subscriptions]
    for row in rows:
        end = row["ended_at"] or row["started_at"] + timedelta(days=60)
        days = draw(st.sampled_from([None, -1, -1, -1, 0, 9, 45, -20]))
        row["term_end_date"] = None if days is None else end.date() + timedelta(days=days)
    return World(
        world.as_of, rows, world.accounts, world.cancellations, world.fx_rates, world.orders
    )


@pytest.mark.parametrize("policies", POLICIES.values(), ids=POLICIES.keys())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=termed_worlds())
def test_random_worlds_agree_with_the_oracle(
    policies: Policies, compile_models: CompileModels, world: World
) -> None:
    book = oracle.keep_book(world, policies)
    with built(compile_models, world, policies) as database:
        marts = {mart: rows_of(database, mart) for mart in COMPUTED}
    for mart, compute in COMPUTED.items():
        if policies.mrr_snapshot == "any_time" and mart == "mart_renewals":
            continue  # Whether a row that ended is in force is read off the whole month there.
        assert not differences(marts[mart], compute(book), KEYS, 1e-4), mart
    started = sum(row["started"] for row in oracle_money.trial_conversion(book))
    assert sum(row["started"] for row in marts["mart_trial_conversion"]) == started


# ----------------------------------------------------------------------------------------- reasons


def contradictions(compile_models: CompileModels, policies: Policies, world: World) -> list[str]:
    """Where a mart and mart_metrics give no value for different reasons, or a mart for none."""
    metrics = {
        name: entry if entry["measures"] in MEASURES else {**entry, "grain": "elsewhere"}
        for name, entry in REGISTRY.items()
    }
    models = compile_models(policies, (*TOLD_TWICE, "mart_metrics"), metrics=metrics)
    found = []
    with closing(models.build(world)) as database:
        told = {
            tuple(row[name] for name in ("metric_name", *KEYS[:3])): row
            for row in rows_of(database, "mart_metrics")
        }
        for mart, reasons in TOLD_TWICE.items():
            for row in rows_of(database, mart):
                window = f"_{row['window_months']}m" if "window_months" in row else ""
                where = (
                    row.get("slice_dimension", "total"),
                    row.get("slice_value", "all"),
                    row["period_start"],
                )
                for reason, columns in reasons.items():
                    for metric, column in columns.items():
                        # Accounts that use alone knows are in no slice of the revenue.
                        there = told.get((f"{metric}{window}", *where))
                        word, value = row.get(reason), row[column]
                        if (value is None) != (word is not None) or (
                            there and (there["reason_null"], there["value"] is None)
                            != (word, value is None)
                        ):  # fmt: skip
                            found.append(f"{mart} {where} {column}: {value} for {word}, {there}")
    return found


REASONS = World(
    date(2024, 8, 10),
    subscriptions=[
        # Left in July: half a year of rates, and nobody left to be worth anything.
        subscription("L", date(2023, 11, 5), date(2024, 7, 9), account_id="L"),
        # Trials in January alone.
        *trial("T", JAN),
    ],
)
ONE_LOST_ONE_OPEN = World(
    date(2024, 3, 29),
    subscriptions=[
        subscription(
            "A", date(2023, 3, 6), date(2024, 3, 6), term_end_date=date(2024, 3, 5),
            status="canceled",
        ),
        subscription("B", date(2023, 3, 30), term_end_date=date(2024, 3, 29)),
    ],
)  # fmt: skip


@pytest.mark.parametrize(
    "world", [REASONS, ONE_LOST_ONE_OPEN], ids=["nobody left", "one lost, one open"]
)
def test_a_mart_and_the_registry_say_the_same_of_why_there_is_no_value(
    compile_models: CompileModels, world: World
) -> None:
    assert contradictions(compile_models, Policies(), world) == []


@pytest.mark.parametrize("free_after_paid", ["churn", "contraction"])
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_random_world_has_a_null_without_its_reason(
    compile_models: CompileModels, free_after_paid: Any, data: st.DataObject
) -> None:
    world = data.draw(termed_worlds())
    assert contradictions(compile_models, Policies(free_after_paid=free_after_paid), world) == []


@pytest.mark.skipif(ravenstack.folder() is None, reason="REFERENCE_DATA is not set")
def test_ravenstack_knows_no_terms_and_its_trials_agree_with_the_oracle(
    compile_models: CompileModels,
) -> None:
    raw: dict[str, Any] = {
        f"ravenstack__{name}": ravenstack.raw(name) for name in ("accounts", "subscriptions")
    }
    with built(compile_models, World(ravenstack.AS_OF), **raw) as database:
        assert rows_of(database, "mart_renewals") == []
        trials = rows_of(database, "mart_trial_conversion")
        migration = rows_of(database, "mart_plan_migration")
    book = oracle.keep_book(ravenstack.world())
    assert not differences(trials, oracle_money.trial_conversion(book), KEYS, 1e-4)
    assert not differences(migration, oracle_money.plan_migration(book), KEYS, 1e-4)
    assert sum(row["started"] for row in trials) > 0
