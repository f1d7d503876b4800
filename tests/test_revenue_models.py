"""The revenue marts, as dbt compiles them, against the plain-Python oracle."""

from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import oracle
import pytest
import ravenstack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import Environment
from models import DBT_DIR, CompileModels, differences, is_close, rows_of
from oracle import Policies, World
from rows import ledger_line, order, subscription
from strategies import worlds
from worked_examples import FAULTS, FURTHER_COLUMNS, WORKED_EXAMPLES, Example

KEYS = (
    "period_start",
    "slice_dimension",
    "slice_value",
    "window_months",
    "cohort_start",
    "age_months",
    "basis",
    "age_days",
)
WHO_ENDED_IT = (
    "voluntary_churned_accounts",
    "involuntary_churned_accounts",
    "unknown_reason_churned_accounts",
    "early_churned_accounts",
    "late_churned_accounts",
)
COMPUTED: dict[str, Callable[[oracle.Book], list[dict[str, Any]]]] = {
    "mart_mrr_bridge": oracle.mrr_bridge,
    "mart_churn_scoreboard": oracle.churn_scoreboard,
    "mart_retention_nrr_grr": oracle.retention_nrr_grr,
    "mart_cohort_retention": oracle.cohort_retention,
    "mart_portfolio_growth": oracle.portfolio_growth,
}


@pytest.mark.parametrize(
    "example", [*WORKED_EXAMPLES, *FAULTS, *FURTHER_COLUMNS], ids=lambda example: example.name
)
def test_worked_example(example: Example, compile_models: CompileModels) -> None:
    where = {"slice_dimension": "total"} | example.where
    with closing(compile_models(example.policies).build(example.world)) as database:
        mart = rows_of(database, example.mart)
    rows = [
        row
        for row in mart
        if all(row[name] == value for name, value in where.items() if name in row)
    ]
    assert len(rows) == 1
    for column, expected in example.expected.items():
        assert is_close(rows[0][column], expected, 5e-5), f"{column}: {rows[0][column]}"


@pytest.mark.parametrize(
    ("zone", "last_day_begins", "ends"),
    [
        ("UTC", datetime(2024, 1, 31), datetime(2024, 2, 1)),
        ("Asia/Tokyo", datetime(2024, 1, 30, 15), datetime(2024, 1, 31, 15)),
        ("America/New_York", datetime(2024, 1, 31, 5), datetime(2024, 2, 1, 5)),
        ("Europe/Berlin", datetime(2024, 3, 30, 23), datetime(2024, 3, 31, 22)),
        # Midnights that a clock shows twice, and never; and one before which an hour is left out.
        ("America/Nuuk", datetime(2026, 3, 28, 2), datetime(2026, 3, 29, 1)),
        ("America/Havana", datetime(2026, 10, 31, 4), datetime(2026, 11, 1, 4)),
        ("America/Santiago", datetime(2024, 9, 7, 4), datetime(2024, 9, 8, 4)),
    ],
)
def test_an_inclusive_end_is_the_midnight_after_it_in_the_zone_of_its_contract(
    zone: str, last_day_begins: datetime, ends: datetime
) -> None:
    macros = [(DBT_DIR / "macros" / f"{name}.sql").read_text() for name in ("time", "staging")]
    call = "{{ half_open_end('ended_at', 'crm', 'deals') }}"
    contract = {
        "config": {"meta": {"end_date_is_inclusive": True, "time_zone": zone}},
        "columns": {"ended_at": {"data_type": "timestamp"}},
    }
    sql = (
        Environment()
        .from_string("".join([*macros, call]))
        .render(execute=True, project_name="p", graph={"sources": {"source.p.crm.deals": contract}})
    )
    with duckdb.connect() as db:
        found = db.execute(f"select {sql} from (select $1 as ended_at)", [last_day_begins])
        assert found.fetchall() == [(ends,)]


POLICIES = {
    "defaults": Policies(),
    "latest start, trials included": Policies(
        account_mrr_policy="latest_start", trial_policy="include"
    ),
    "any time": Policies(mrr_snapshot="any_time", gap_tolerance_days=0),
    "period end rates": Policies(fx_policy="period_end"),
    "free is contraction, list price": Policies(
        free_after_paid="contraction", discount_policy="none"
    ),
    "churn when asked for, New York": Policies(
        churn_recognition="cancel_requested", reporting_timezone="America/New_York"
    ),
    "churn when cancelled, Tokyo": Policies(
        churn_recognition="cancel_effective", reporting_timezone="Asia/Tokyo", past_due_grace_days=0
    ),
    "latest start at any time, trials included, no tolerance": Policies(
        "latest_start", "include", "any_time", gap_tolerance_days=0
    ),
    "free is contraction, period end rates, no grace": Policies(
        free_after_paid="contraction", fx_policy="period_end", past_due_grace_days=0
    ),
}


@pytest.mark.parametrize("policies", POLICIES.values(), ids=POLICIES.keys())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds())
def test_random_worlds_agree_with_the_oracle(
    policies: Policies, compile_models: CompileModels, world: World
) -> None:
    models = compile_models(policies)
    book = oracle.keep_book(world, policies)
    with closing(models.build(world)) as database:
        marts = {mart: rows_of(database, mart) for mart in COMPUTED}
        assert not models.broken_identities(database)
    for mart, compute in COMPUTED.items():
        expected = compute(book)
        if mart == "mart_retention_nrr_grr" and policies.fx_policy == "period_end":
            continue  # Point to point at each day's own rates here, at the closing rate there.
        ends_later = policies.mrr_snapshot == "any_time" or policies.free_after_paid != "churn"
        if mart == "mart_churn_scoreboard" and ends_later:
            # What ended in the month ends together here, and with the free time after what was
            # paid; there each at its own instant, so that other cancellations explain it.
            expected = [{k: v for k, v in row.items() if k not in WHO_ENDED_IT} for row in expected]
        assert not differences(marts[mart], expected, KEYS, 1e-4), mart


LIVES = st.lists(
    st.tuples(st.sampled_from([None, 0, 10, 20]), st.integers(1, 40)), min_size=3, max_size=7
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(lives=st.lists(LIVES, min_size=20, max_size=40))
def test_whom_free_time_keeps_on_the_ledger_and_the_bridge_agree(
    compile_models: CompileModels, lives: list[list[tuple[int | None, int]]]
) -> None:
    # Each life is what was paid for so many days, one after the other; None is away.
    rows = []
    for account, life in enumerate(lives):
        day = date(2024, 1, 1)
        for number, (amount, days) in enumerate(life):
            if amount is not None:
                row = subscription(f"S{number}", day, day + timedelta(days), amount=amount)
                rows.append(row | {"account_id": str(account)})
            day += timedelta(days)
    world = World(date(2024, 9, 30), subscriptions=rows)
    models = compile_models(Policies(free_after_paid="contraction"))
    with closing(models.build(world)) as database:
        months = database.sql(
            "select account_id, close_at, closing_mrr, closing_accounts"
            " from intermediate.int_revenue__account_months"
            " inner join intermediate.int_quality__months using (period_start)"
        ).fetchall()
        spells = database.sql(
            "select account_id, started_at, coalesce(ended_at, timestamp 'infinity')"
            " from intermediate.int_revenue__account_spells"
        ).fetchall()
    for name, close, _, is_customer in months:
        started = [s for account, s, e in spells if account == name and s < close <= e]
        # A spell that no close has found paid so far is of no customer yet.
        paid = [c for account, c, mrr, _ in months if account == name and mrr > 0 and c <= close]
        assert is_customer == (bool(started) and any(c > started[0] for c in paid)), (name, close)


def test_months_that_the_orders_export_has_not_told_of_have_no_cells(
    compile_models: CompileModels,
) -> None:
    end = date(2024, 6, 30)
    days = {
        "crm/accounts": [end],
        "billing/subscriptions": [end],
        "orders/orders": [date(2024, 3, 31), date(2024, 7, 31)],
    }
    ledger = [ledger_line(name, day) for name, landings in days.items() for day in landings]
    orders = [order("1", date(2024, 1, 5)), order("2", date(2024, 3, 31))]
    world = World(
        end,
        [subscription("S", date(2024, 1, 1))],
        orders=[row | {"landing_date": date(2024, 3, 31)} for row in orders],
    )
    with closing(compile_models(Policies()).build(world, lake__extractions=ledger)) as database:
        cells = rows_of(database, "mart_cohort_retention")
    found = {
        basis: {row["age_months"]: int(row["value"]) for row in cells if row["basis"] == basis}
        for basis in ("logo", "orders")
    }
    assert found == {"logo": dict.fromkeys(range(6), 1), "orders": {0: 1, 1: 0, 2: 1}}


@pytest.mark.skipif(ravenstack.folder() is None, reason="REFERENCE_DATA is not set")
@pytest.mark.parametrize("gap_tolerance_days", [0, 7])
@pytest.mark.parametrize("trial_policy", ["exclude", "include"])
@pytest.mark.parametrize("account_mrr_policy", ["sum", "latest_start"])
def test_ravenstack_bridge_agrees_with_the_oracle_to_the_cent(
    account_mrr_policy: Any,
    trial_policy: Any,
    gap_tolerance_days: int,
    compile_models: CompileModels,
) -> None:
    policies = Policies(account_mrr_policy, trial_policy, gap_tolerance_days=gap_tolerance_days)
    models = compile_models(policies)
    raw = {f"ravenstack__{name}": ravenstack.raw(name) for name in ("accounts", "subscriptions")}
    with closing(models.build(World(ravenstack.AS_OF), **raw)) as database:
        bridge = rows_of(database, "mart_mrr_bridge")
        assert not models.broken_identities(database)
    book = oracle.keep_book(ravenstack.world(), policies)
    assert not differences(bridge, oracle.mrr_bridge(book), KEYS, 1e-9)
    months = sorted(row["period_start"] for row in bridge if row["slice_dimension"] == "total")
    assert months == [date(2023 + index // 12, index % 12 + 1, 1) for index in range(24)]
