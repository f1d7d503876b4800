"""What is new and what is stale, told from files alone."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from program import lock

from dagster_project import settings, state
from dagster_project.core.lake import Lake
from dagster_project.core.ledger import Extraction, append_to_ledger


@pytest.fixture
def chosen(tmp_path: Path) -> settings.Settings:
    return replace(settings.current(), data_dir=tmp_path)


def land(chosen: settings.Settings, export: str, day: str = "2024-01-05") -> Path:
    path = Lake(chosen.data_dir).landing(*export.split("/")) / f"{day}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("id\n")
    return path


def test_a_landing_folder_that_cannot_be_listed_is_named_and_hides_no_other(
    chosen: settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = land(chosen, "crm/users").parent
    land(chosen, "crm/accounts")
    assert set(state.new_days(chosen)) == {"crm/accounts", "crm/users"}
    lock(monkeypatch, "iterdir", folder)
    assert state.new_days(chosen) == {"crm/accounts": [date(2024, 1, 5)]}
    assert [export.sentence for export in state.stale_exports(chosen)] == [
        "crm/users is stale: its landing folder cannot be read (Permission denied)"
    ]


def test_of_days_before_the_first_one_nothing_is_asked(chosen: settings.Settings) -> None:
    early, late = date(2024, 1, 5), date(2024, 1, 6)
    lines = [
        Extraction("crm", "accounts", early, "ok", 1),
        Extraction("orders", "orders", early, "ok", 1),
        Extraction("surveys", "responses", early, "failed", 1, error="broken"),
        Extraction("orders", "orders", late, "ok", 1),
    ]
    for line in lines:
        append_to_ledger(chosen.lake, line)
    assert [export.name for export in state.stale_exports(chosen)] == ["surveys/responses"]
    # Raw holds none of what the ledger says.
    assert state.lost_days(chosen) == {"crm/accounts": [early], "orders/orders": [early, late]}
    moved = replace(chosen, policies={**chosen.policies, "first_day": str(late)})
    assert state.stale_exports(moved) == []
    assert state.lost_days(moved) == {"orders/orders": [late]}
