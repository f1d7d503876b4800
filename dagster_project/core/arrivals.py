"""What the ledger says of an export's days: do rows add up, was anything refused, new, missing,
late.

Judges what was extracted; extracting is extraction.py's, and what is published of it stands in
mart_export_quality.
"""

import datetime as dt
from collections.abc import Mapping
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dagster_project.core.exports import Export
from dagster_project.core.lake import Lake
from dagster_project.core.ledger import Extraction, Ledger, days_of

# By name, what each finding asks.
QUESTIONS = {
    "no_failed_days": "the newest files of each landed day could be extracted",
    "rows_add_up": "rows in = rows accepted + rows rejected + rows superseded, each day",
    "no_rejects": "every row kept its contract",
    "no_new_columns": "the files hold no column that the contract does not know",
    "no_missing_days": "each day since the first has landed, up to the newest day of any export,"
    " those yet to come aside",
}


class Finding(NamedTuple):
    """The answer to one of QUESTIONS: the days that speak against it, and what they say."""

    name: str
    against: Mapping[dt.date, str]


def review(system: str, export: str, ledger: Ledger, today: dt.date) -> list[Finding]:
    """One finding per question, in their order, over every day of the export.

    Days to come are slips of a pen, and make no day before them missing.
    """
    days = days_of(ledger, system, export)
    in_raw = {day: state.newest_ok for day, state in days.items() if state.newest_ok}
    newest = max((day for _, _, day in ledger if day <= today), default=dt.date.min)
    missing = (
        {day: "has not landed" for day in _between(min(days), newest) if day not in days}
        if days
        else {}
    )
    failed = {day: str(state.newest.error) for day, state in days.items() if not state.newest.is_ok}
    return [
        Finding("no_failed_days", failed),
        Finding(
            "rows_add_up", {day: _sum(line) for day, line in in_raw.items() if not _adds_up(line)}
        ),
        Finding(
            "no_rejects",
            {
                day: f"{line.rows_rejected} rejected"
                for day, line in in_raw.items()
                if line.rows_rejected
            },
        ),
        Finding(
            "no_new_columns",
            {day: ", ".join(line.drift) for day, line in in_raw.items() if line.drift},
        ),
        Finding("no_missing_days", missing),
    ]


def _adds_up(line: Extraction) -> bool:
    return line.rows_in == line.rows_accepted + line.rows_rejected + line.rows_superseded


def _sum(line: Extraction) -> str:
    return (
        f"{line.rows_in} in, {line.rows_accepted} accepted, {line.rows_rejected} rejected,"
        f" {line.rows_superseded} superseded"
    )


def _between(first: dt.date, last: dt.date) -> list[dt.date]:
    return [first + dt.timedelta(days) for days in range((last - first).days + 1)]


def lateness(
    export: Export, lake: Lake, ledger: Ledger, hours: int, zone: ZoneInfo, now: dt.datetime
) -> str | None:
    """A sentence if the newest day that has landed ended more than `hours` before `now`.

    An export that never arrived is optional and not late; days to come are slips of a pen.
    """
    today = now.astimezone(zone).date()
    days = {*days_of(ledger, export.system, export.name)}
    if not lake.unreadable(export.system, export.name):
        days |= lake.landed_days(export.system, export.name).keys()
    newest = max((day for day in days if day <= today), default=None)
    if newest is None:
        return None
    # Hours of the clock, also where a night of the zone has more or fewer of them.
    end = dt.datetime.combine(newest + dt.timedelta(1), dt.time(), zone).astimezone(dt.UTC)
    due = end + dt.timedelta(hours=hours)
    if now <= due:
        return None
    return (
        f"{export.system}/{export.name} is late: the newest day that has landed is {newest},"
        f" and the next was due by {due.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})."
    )
