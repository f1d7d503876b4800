"""Closed months that change afterwards: which, by how much and why; and the ledger of closes."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import oracle
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import REVENUE_ONLY, CompileModels, Models, rows_of
from oracle import Policies, World
from program import land, run_program
from rows import account, ledger_line, subscription
from strategies import worlds

from dagster_project.core import closes
from dagster_project.core.lake import Lake

JANUARY = date(2024, 1, 1)
TENTH, ELEVENTH = date(2024, 2, 10), date(2024, 2, 11)
NAMES = ("mart_metrics", "mart_metric_definitions", "mart_metric_restatement")


@pytest.fixture(scope="module")
def models(compile_models: CompileModels) -> Models:
    return compile_models(Policies(), NAMES, metrics=REVENUE_ONLY)


def attempts(*days: tuple[str, date, str]) -> list[dict[str, Any]]:
    """Successful extractions, in order: export, landing day, and what the files held."""
    return [
        ledger_line(
            export,
            day,
            seq,
            rows_in=1,
            rows_accepted=1,
            contract="contract",
            landed=json.dumps([["a.csv", 1, 1, 1, content]]),
        )
        for seq, (export, day, content) in enumerate(days, start=1)
    ]


FIRST_NIGHT = (("crm/accounts", TENTH, "a"), ("billing/subscriptions", TENTH, "s"))


def on(day: date, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"landing_date": day} for row in rows]


def close(
    models: Models,
    world: World,
    folder: Path,
    days: Sequence[tuple[str, date, str]] = FIRST_NIGHT,
    ledger: Sequence[dict[str, Any]] = (),
    business_day: int = 4,
) -> list[dict[str, Any]]:
    """What a night that builds `world` closes, when `ledger` is closed already."""
    lake = Lake(folder)
    lake.closes.mkdir(parents=True, exist_ok=True)
    with closing(
        models.build(world, lake__extractions=attempts(*days), lake__closes=ledger)
    ) as database:
        closes.write_new(lake, f"release-{world.as_of}", business_day, database, folder)
    path = folder / closes.CLOSES
    return pl.read_parquet(path).to_dicts() if path.exists() else []


def restated(
    models: Models,
    world: World,
    ledger: Sequence[dict[str, Any]],
    days: Sequence[tuple[str, date, str]] = FIRST_NIGHT,
) -> dict[tuple[str, str, str, date], dict[str, Any]]:
    with closing(
        models.build(world, lake__extractions=attempts(*days), lake__closes=ledger)
    ) as database:
        rows = rows_of(database, "mart_metric_restatement")
    key = ("metric_name", "slice_dimension", "slice_value", "metric_date")
    found = {tuple(row[name] for name in key): row for row in rows}
    assert len(found) == len(rows)
    return found


ACCOUNTS = [account("A", segment="small"), account("B", segment="large")]
ONE = subscription("S-A", date(2024, 1, 3), account_id="A", amount=100)
TWO = subscription("S-B", date(2024, 1, 20), account_id="B", amount=60)
CLOSED = World(TENTH, accounts=on(TENTH, ACCOUNTS), subscriptions=on(TENTH, [ONE]))
MRR = ("mrr", "total", "all", JANUARY)


@pytest.fixture
def ledger(models: Models, tmp_path: Path) -> list[dict[str, Any]]:
    return close(models, CLOSED, tmp_path)


def test_what_has_not_changed_is_not_restated(models: Models, ledger: list[dict[str, Any]]) -> None:
    assert {row["period_start"] for row in ledger} == {JANUARY}
    assert {row["measured_at"] for row in ledger} == {TENTH}
    assert restated(models, CLOSED, ledger) == {}


def test_a_late_file_restates_the_closed_month_it_is_about(
    models: Models, ledger: list[dict[str, Any]]
) -> None:
    world = World(
        ELEVENTH,
        accounts=on(TENTH, ACCOUNTS) + on(ELEVENTH, ACCOUNTS),
        subscriptions=on(TENTH, [ONE]) + on(ELEVENTH, [ONE, TWO]),
    )
    later = (("crm/accounts", ELEVENTH, "a"), ("billing/subscriptions", ELEVENTH, "s2"))
    found = restated(models, world, ledger, (*FIRST_NIGHT, *later))
    row = found[MRR]
    assert (row["value_close"], row["value_now"], row["delta"]) == (100, 160, 60)
    assert (row["cause"], row["possible_causes"]) == ("late_data", "late_data")
    assert row["late_exports"] == "billing/subscriptions 2024-02-11; crm/accounts 2024-02-11"
    assert (row["corrected_exports"], row["changed_policies"]) == (None, None)
    assert (row["measured_at"], row["restated_at"]) == (TENTH, ELEVENTH)
    arpa = found["arpa", "total", "all", JANUARY]
    assert (arpa["numerator_close"], arpa["numerator_now"]) == (100, 160)
    assert (arpa["denominator_close"], arpa["denominator_now"], arpa["delta"]) == (1, 2, -20)
    assert ("mrr", "segment", "small", JANUARY) not in found
    assert found["mrr", "segment", "large", JANUARY]["delta"] == 60
    assert {key[3] for key in found} == {JANUARY}


def test_a_day_delivered_anew_is_a_corrected_export(
    models: Models, ledger: list[dict[str, Any]]
) -> None:
    dearer = ONE | {"unit_amount_minor": 12_000}
    world = World(TENTH, accounts=on(TENTH, ACCOUNTS), subscriptions=on(TENTH, [dearer]))
    again = ("billing/subscriptions", TENTH, "other")
    row = restated(models, world, ledger, (*FIRST_NIGHT, again))[MRR]
    assert (row["delta"], row["cause"]) == (20, "corrected_export")
    assert row["corrected_exports"] == "billing/subscriptions 2024-02-10"
    assert row["late_exports"] is None


def test_the_same_day_extracted_again_with_the_same_content_is_no_correction(
    models: Models, ledger: list[dict[str, Any]]
) -> None:
    dearer = ONE | {"unit_amount_minor": 12_000}
    world = World(TENTH, accounts=on(TENTH, ACCOUNTS), subscriptions=on(TENTH, [dearer]))
    row = restated(models, world, ledger, (*FIRST_NIGHT, *FIRST_NIGHT))[MRR]
    assert (row["cause"], row["corrected_exports"]) == ("unknown", None)


def test_a_changed_policy_is_named_with_what_it_was(
    compile_models: CompileModels, models: Models, tmp_path: Path
) -> None:
    trial = subscription("T", date(2024, 1, 25), account_id="B", amount=40, status="trialing")
    world = World(TENTH, accounts=on(TENTH, ACCOUNTS), subscriptions=on(TENTH, [ONE, trial]))
    ledger = close(models, world, tmp_path)
    included = compile_models(Policies(trial_policy="include"), NAMES, metrics=REVENUE_ONLY)
    row = restated(included, world, ledger)[MRR]
    assert (row["delta"], row["cause"]) == (40, "changed_policy")
    assert row["changed_policies"] == "trial_policy = include (was exclude)"


def test_a_changed_definition_is_told_from_changed_data(
    compile_models: CompileModels, ledger: list[dict[str, Any]]
) -> None:
    mrr = {**REVENUE_ONLY["mrr"], "numerator": "closing_mrr * 12"}
    yearly = compile_models(Policies(), NAMES, metrics={**REVENUE_ONLY, "mrr": mrr})
    found = restated(yearly, CLOSED, ledger)
    assert {key[0] for key in found} == {"mrr"}
    row = found[MRR]
    assert (row["delta"], row["cause"]) == (1100, "changed_definition")
    assert row["definition_version_close"] != row["definition_version_now"]


def test_an_account_that_moves_between_segments_changes_slices_alone(
    models: Models, ledger: list[dict[str, Any]]
) -> None:
    moved = [ACCOUNTS[0] | {"segment": "large"}, ACCOUNTS[1]]
    world = World(
        ELEVENTH,
        accounts=on(TENTH, ACCOUNTS) + on(ELEVENTH, moved),
        subscriptions=on(TENTH, [ONE]),
    )
    found = restated(models, world, ledger, (*FIRST_NIGHT, ("crm/accounts", ELEVENTH, "a2")))
    assert {key[1] for key in found} == {"segment"}
    assert {row["cause"] for row in found.values()} == {"changed_slice"}
    small, large = (found["mrr", "segment", name, JANUARY] for name in ("small", "large"))
    assert (small["numerator_close"], small["numerator_now"]) == (100, None)
    assert (large["value_close"], large["value_now"], large["delta"]) == (0, 100, 100)


def test_a_build_pinned_before_the_close_knows_nothing_of_it(
    models: Models, ledger: list[dict[str, Any]]
) -> None:
    early = date(2024, 2, 7)
    world = World(early, accounts=on(early, ACCOUNTS), subscriptions=on(early, [TWO]))
    days = (("crm/accounts", early, "a"), ("billing/subscriptions", early, "s"))
    assert restated(models, world, ledger, days) == {}


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds(), known=st.lists(st.booleans(), min_size=60, max_size=60))
def test_restated_mrr_is_the_difference_of_two_books_kept_in_plain_python(
    models: Models, world: World, known: list[bool], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = [row for row, is_known in zip(world.subscriptions, known, strict=False) if is_known]
    at_close = World(
        world.as_of, world.subscriptions and kept, world.accounts, fx_rates=world.fx_rates
    )
    now = World(world.as_of, world.subscriptions, world.accounts, fx_rates=world.fx_rates)
    days = (("crm/accounts", world.as_of, "a"),)
    ledger = close(models, at_close, tmp_path_factory.mktemp("closes"), days)
    found = {
        key[1:]: row["numerator_now"] or 0
        for key, row in restated(models, now, ledger, days).items()
        if key[0] == "mrr"
    }
    then, live = closing_mrr(at_close), closing_mrr(now)
    closed_months = {row["period_start"] for row in ledger}
    expected = {
        key: live.get(key, Decimal(0))
        for key in then.keys() | live.keys()
        if key[2] in closed_months and then.get(key, 0) != live.get(key, 0)
    }
    assert found.keys() == expected.keys()
    for key, mrr in expected.items():
        assert abs(found[key] - mrr) <= Decimal("0.0001")


def closing_mrr(world: World) -> Mapping[tuple[str, str, date], Decimal]:
    return {
        (row["slice_dimension"], row["slice_value"], row["period_start"]): row["closing_mrr"]
        for row in oracle.mrr_bridge(oracle.keep_book(world))
    }


@pytest.mark.parametrize(
    ("as_of", "business_day", "closed"),
    [
        (date(2024, 2, 5), 4, False),  # Thursday, Friday, Monday
        (date(2024, 2, 6), 4, True),
        (date(2024, 2, 1), 1, True),
        (date(2024, 1, 31), 1, False),
        (date(2024, 1, 31), 0, True),
        (date(2024, 1, 30), 0, False),
        (date(2024, 2, 29), 21, True),
    ],
)
def test_a_month_is_closed_on_its_business_day(
    models: Models, tmp_path: Path, as_of: date, business_day: int, closed: bool
) -> None:
    world = World(as_of, accounts=on(as_of, ACCOUNTS), subscriptions=on(as_of, [ONE]))
    days = (("crm/accounts", as_of, "a"), ("billing/subscriptions", as_of, "s"))
    rows = close(models, world, tmp_path, days, business_day=business_day)
    assert {row["period_start"] for row in rows} == ({JANUARY} if closed else set())


def test_a_month_is_closed_once_and_a_new_metric_when_it_comes(
    compile_models: CompileModels, models: Models, tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    close(models, CLOSED, tmp_path)
    (tmp_path / closes.CLOSES).rename(lake.closes / "first.parquet")
    assert close(models, CLOSED, tmp_path) == []
    more = {**REVENUE_ONLY, "seats": {**REVENUE_ONLY["mrr"], "numerator": "opening_seats"}}
    richer = compile_models(Policies(), NAMES, metrics=more)
    assert {row["metric_name"] for row in close(richer, CLOSED, tmp_path)} == {"seats"}


def test_a_close_is_committed_by_its_release(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    closes.ready(lake)
    assert [path.name for path in lake.closes.iterdir()] == ["empty.parquet"]
    release = lake.published / "releases" / "R1"
    release.mkdir(parents=True)
    (release / closes.CLOSES).write_bytes((lake.closes / "empty.parquet").read_bytes())
    # Killed before the switch: what was never published is never a close.
    closes.commit(lake)
    assert not (lake.closes / "R1.parquet").exists()
    # Killed after the switch: the next build takes it in, and never twice.
    (lake.published / "current").symlink_to(Path("releases") / "R1")
    closes.ready(lake)
    settled = lake.closes / "R1.parquet"
    before = settled.stat().st_ino
    closes.ready(lake)
    assert settled.stat().st_ino == before
    with duckdb.connect() as db:
        [(rows,)] = db.execute(f"select count(*) from '{lake.closes}/*.parquet'").fetchall()
    assert rows == 0


def test_three_nights_and_a_late_file_say_which_month_changed_by_how_much_and_why(
    tmp_path: Path,
) -> None:
    def night(day: date, subscriptions: list[dict[str, Any]]) -> None:
        land(tmp_path, "crm/accounts", day, ACCOUNTS)
        land(tmp_path, "billing/subscriptions", day, subscriptions)
        done = run_program(tmp_path)
        assert done.returncode == 0, done.stdout

    def told() -> list[tuple[Any, ...]]:
        with duckdb.connect(str(tmp_path / "published" / "marts.duckdb"), read_only=True) as db:
            return db.sql(
                "select metric_date, delta, cause, late_exports, measured_at"
                " from mart_metric_restatement"
                " where metric_name = 'mrr' and slice_dimension = 'total'"
            ).fetchall()

    night(TENTH, [ONE])
    assert told() == []
    assert len(list(Lake(tmp_path).closes.glob("*.parquet"))) == 2
    night(ELEVENTH, [ONE])
    assert told() == []
    # A cancellation in January that nobody had heard of in time, and a sale.
    ended = ONE | {"ended_at": datetime(2024, 1, 30), "status": "canceled"}
    night(date(2024, 2, 12), [ended, TWO])
    late = "billing/subscriptions 2024-02-12; crm/accounts 2024-02-12"
    assert told() == [(JANUARY, -40.0, "late_data", late, TENTH)]
    # The month was closed once; only metrics that had nothing to say of it then may follow.
    with duckdb.connect() as db:
        [(closed,)] = db.execute(
            "select count(*) from read_parquet($1) where metric_name = 'mrr'"
            " and slice_dimension = 'total' and period_start = $2",
            [str(Lake(tmp_path).closes / "*.parquet"), JANUARY],
        ).fetchall()
    assert closed == 1
