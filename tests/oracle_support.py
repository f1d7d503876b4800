"""Support once more, in plain Python, to hold the SQL against.

Belongs here: open time of a calendar, durations of tickets, the measures of an account's month, and
the state of ticket rate and usage, from the written definitions by brute force. Does not belong
here: anything fast, SQL, data frames, a rule read off a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from oracle import Row

MINUTE = timedelta(minutes=1)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def ticket(ticket_id: str, created_at: datetime, **columns: Any) -> dict[str, Any]:
    """A row of support/tickets: new, of account A, with nothing done about it."""
    return {
        "ticket_id": ticket_id,
        "account_id": "A",
        "calendar": None,
        "requester_user_id": None,
        "created_at": created_at,
        "first_replied_at": None,
        "solved_at": None,
        "status": "new",
        "priority": None,
        "channel": None,
        "is_escalated": None,
        "reopen_count": None,
        "satisfaction_score": None,
        "satisfaction_comment": None,
        "updated_at": None,
    } | columns


def hours(
    calendar: str, zone: str, weekdays: Iterable[str], *intervals: tuple[str, str]
) -> list[dict[str, str]]:
    """Rows of the business_hours seed: the same intervals on each of `weekdays`."""
    return [
        {
            "calendar": calendar,
            "weekday": weekday,
            "opens_at": opens_at,
            "closes_at": closes_at,
            "time_zone": zone,
        }
        for weekday in weekdays
        for opens_at, closes_at in intervals
    ]


def open_time(seed: Sequence[Row], calendar: str, start: datetime, end: datetime) -> timedelta:
    """How long `calendar` is open in [start, end), both UTC: every minute of it is looked at.

    Open means that the clock of the calendar's zone shows a time within an interval of its weekday.
    Clocks and intervals change at full minutes.
    """
    rows = [row for row in seed if row["calendar"] == calendar]
    zone = ZoneInfo(rows[0]["time_zone"])
    intervals = [
        (row["weekday"], minutes(row["opens_at"]), minutes(row["closes_at"])) for row in rows
    ]
    total = timedelta()
    minute = start.replace(second=0, microsecond=0)
    while minute < end:
        local = minute.replace(tzinfo=UTC).astimezone(zone)
        shown = 60 * local.hour + local.minute
        if any(
            weekday == WEEKDAYS[local.weekday()] and opens <= shown < closes
            for weekday, opens, closes in intervals
        ):
            total += min(minute + MINUTE, end) - max(minute, start)
        minute += MINUTE
    return total


def minutes(clock: str) -> int:
    """Minutes since midnight of a time such as 09:30; 24:00 is the end of the day."""
    hour, minute = clock.split(":")
    return 60 * int(hour) + int(minute)


def in_minutes(duration: timedelta) -> Decimal:
    """A duration in minutes, to six decimals, half away from zero."""
    exact = Decimal(duration // timedelta(microseconds=1)) / 60_000_000
    return exact.quantize(Decimal("0.000001"), ROUND_HALF_UP)
