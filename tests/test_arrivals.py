"""What the checks of a raw asset find in the ledger."""

from datetime import date, timedelta
from typing import Any, Literal

from dagster_project.core import arrivals
from dagster_project.core.ledger import Extraction, Ledger, record

FIRST = date(2024, 1, 5)


def attempt(
    ledger: Ledger, day: int, status: Literal["ok", "failed"], export: str = "users", **facts: Any
) -> None:
    error = None if status == "ok" else "truncated gzip"
    at = FIRST + timedelta(day)
    record(ledger, Extraction("crm", export, at, status, 1, error=error, **facts))


def test_each_question_is_answered_with_the_days_that_speak_against_it() -> None:
    ledger: Ledger = {}
    attempt(ledger, 0, "ok", rows_in=3, rows_accepted=2, rows_rejected=1)
    attempt(ledger, 1, "ok", rows_in=3, rows_accepted=2)
    attempt(ledger, 2, "failed")
    attempt(ledger, 3, "failed")
    attempt(ledger, 3, "ok")
    attempt(ledger, 5, "ok", export="accounts")
    # A slip of the pen in the name of a file: no day up to it is missing for that.
    attempt(ledger, 2_000_000, "ok", export="accounts")
    found = arrivals.review("crm", "users", ledger, FIRST + timedelta(365))
    assert [finding.name for finding in found] == list(arrivals.QUESTIONS)
    assert {finding.name: dict(finding.against) for finding in found} == {
        "no_failed_days": {date(2024, 1, 7): "truncated gzip"},
        "rows_add_up": {date(2024, 1, 6): "3 in, 2 accepted, 0 rejected, 0 superseded"},
        "no_rejects": {date(2024, 1, 5): "1 rejected"},
        "no_new_columns": {},
        "no_missing_days": dict.fromkeys((date(2024, 1, 9), date(2024, 1, 10)), "has not landed"),
    }
