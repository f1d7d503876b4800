"""What the marts say of landing days, and which version of a row they take."""

from contextlib import closing
from datetime import date, datetime
from typing import Any

import pytest
from models import CompileModels, rows_of
from oracle import Policies, World
from rows import account, ledger_line, order

TENTH, TWENTIETH, NEXT = date(2024, 5, 10), date(2024, 5, 20), date(2024, 5, 21)


def attempt(seq: int, export: str, day: date, status: str, rows: int = 0) -> dict[str, Any]:
    error = "it is broken" if status == "failed" else None
    counts = {"rows_in": rows, "rows_accepted": rows}
    return ledger_line(export, day, seq, status=status, error=error, **counts)


def quality(compile_models: CompileModels, attempts: list[dict[str, Any]]) -> dict[Any, Any]:
    models = compile_models(Policies())
    with closing(models.build(World(TENTH), lake__extractions=attempts)) as database:
        return {
            (row["export"], row["landing_date"]): row
            for row in rows_of(database, "mart_export_quality")
            if row["system"] in ("crm", "orders")
        }


def test_a_failed_accounts_export_does_not_hide_itself_or_others(
    compile_models: CompileModels,
) -> None:
    attempts = [
        attempt(1, "crm/accounts", TWENTIETH, "ok", 3),
        attempt(2, "orders/orders", TWENTIETH, "ok", 5),
        attempt(3, "crm/accounts", NEXT, "failed"),
        attempt(4, "orders/orders", NEXT, "failed"),
    ]
    found = quality(compile_models, attempts)
    for export, rows in (("accounts", 3), ("orders", 5)):
        last_good, failed = found[export, TWENTIETH], found[export, NEXT]
        assert (last_good["status"], last_good["rows_in"]) == ("stale", rows)
        assert (failed["status"], failed["error"]) == ("failed", "it is broken")
        assert [failed[name] for name in ("files", "rows_in", "rows_accepted")] == [0, 0, 0]


def test_a_failed_correction_keeps_the_day_and_marks_it_stale(
    compile_models: CompileModels,
) -> None:
    attempts = [
        attempt(1, "crm/accounts", TENTH, "ok", 3),
        attempt(2, "crm/accounts", TENTH, "failed"),
    ]
    day = quality(compile_models, attempts)["accounts", TENTH]
    assert (day["status"], day["rows_in"], day["error"]) == ("stale", 3, "it is broken")


def test_new_columns_are_those_of_what_is_in_raw(compile_models: CompileModels) -> None:
    attempts = [
        attempt(1, "crm/accounts", TENTH, "ok", 3) | {"drift": ["note"]},
        attempt(2, "crm/accounts", TENTH, "failed") | {"drift": ["ann@example.com"]},
        attempt(3, "crm/accounts", TWENTIETH, "failed") | {"drift": ["ann@example.com"]},
    ]
    found = quality(compile_models, attempts)
    assert found["accounts", TENTH]["new_columns"] == ["note"]
    assert found["accounts", TWENTIETH]["new_columns"] == []


def test_a_repaired_day_is_ok_and_missing_days_are_counted(compile_models: CompileModels) -> None:
    attempts = [
        attempt(1, "crm/accounts", TENTH, "ok", 3),
        attempt(2, "crm/accounts", TWENTIETH, "failed"),
        attempt(3, "crm/accounts", TWENTIETH, "ok", 4),
        attempt(4, "orders/orders", TENTH, "ok", 1),
    ]
    found = quality(compile_models, attempts)
    assert [found["accounts", day]["status"] for day in (TENTH, TWENTIETH)] == ["ok", "ok"]
    assert found["accounts", TWENTIETH]["missing_days_before"] == 9
    assert found["orders", TENTH]["days_behind"] == 10
    assert found["users", None]["status"] == "never_arrived"


def test_what_landed_before_the_first_day_is_read_no_more(compile_models: CompileModels) -> None:
    early = order("early", date(2024, 5, 1)) | {"landing_date": TENTH}
    late = order("late", date(2024, 5, 1)) | {"landing_date": TWENTIETH}
    world = World(TWENTIETH, accounts=[account("A")], orders=[early, late])
    models = compile_models(Policies(), first_day=str(TWENTIETH))
    with closing(models.build(world)) as database:
        orders = "select order_id from intermediate.int_onboarding__orders"
        counted = database.sql(orders).fetchall()
        days = rows_of(database, "mart_export_quality")
    assert counted == [("late",)]
    found = {row["landing_date"]: row for row in days if row["export"] == "orders"}
    assert [found[day]["status"] for day in (TENTH, TWENTIETH)] == ["failed", "ok"]
    assert found[TENTH]["error"] == "lies before the first day"


@pytest.mark.parametrize("dated", [True, False], ids=["dated", "undated"])
def test_a_refund_that_lands_later_without_a_date_wins(
    compile_models: CompileModels, dated: bool
) -> None:
    placed = order("O", date(2024, 5, 1)) | {
        "landing_date": TENTH,
        "updated_at": datetime(2024, 5, 2) if dated else None,
    }
    refunded = order("O", date(2024, 5, 1), status="refunded") | {"landing_date": TWENTIETH}
    world = World(TWENTIETH, accounts=[account("A")], orders=[placed, refunded])
    with closing(compile_models(Policies()).build(world)) as database:
        counted = database.sql("from intermediate.int_onboarding__orders").fetchall()
    assert counted == []
