"""Support once more, in plain Python, to hold the SQL against.

Belongs here: open time of a calendar, durations of tickets, the measures of an account's month, and
the state of ticket rate and usage, from the written definitions by brute force. Does not belong
here: anything fast, SQL, data frames, a rule read off a model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from oracle import Book, Calendar, Row, next_month

MICROSECOND = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


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


def onboarding_start(book: Book, account_id: str) -> date | None:
    """The contract's first day, else that of the sign-up; None where neither is known by as-of."""
    for row in book.world.accounts:
        if row["account_id"] == account_id:
            start: date = row["contract_start_date"] or book.calendar.day(row["signed_up_at"])
            return start if start <= book.world.as_of else None
    return None


def life(book: Book, account_id: str) -> set[date]:
    """The days of an account: from its start or first paid day, without those after it left."""
    calendar, start = book.calendar, onboarding_start(book, account_id)
    spells = book.spells.get(account_id, [])
    stretches = [
        (calendar.day(begin), calendar.day(end - MICROSECOND) if end else calendar.as_of)
        for begin, end in spells
    ]
    if stretches:
        first, last = stretches[0]
        stretches[0] = min(first, start or first), last
    elif start:
        stretches = [(start, calendar.as_of)]
    return {
        first + timedelta(days=offset)
        for first, last in stretches
        for offset in range((last - first).days + 1)
    }


def account_months(
    book: Book, rows: Sequence[Row], onboarding_days: int = 90
) -> dict[tuple[str | None, date], dict[str, int]]:
    """Measures of support by account and month, of months that have any of them.

    Tickets of `rows` are one version each. A month of which nothing is to be said is left out.
    """
    calendar = book.calendar
    known = [row for row in rows if row["created_at"] < calendar.end]
    names = {row["account_id"] for row in known}
    names |= {row["account_id"] for row in book.world.accounts} | book.spells.keys()
    result = {}
    for name in names:
        own = [row for row in known if row["account_id"] == name]
        days = life(book, name) if name else set()
        start = onboarding_start(book, name) if name else None
        until = start + timedelta(days=onboarding_days) if start else None
        months = {day.replace(day=1) for day in days}
        months |= {calendar.month(row["created_at"]) for row in own}
        month = min(months, default=next_month(calendar.as_of.replace(day=1)))
        while month <= calendar.as_of:
            lived = [day for day in days if day.replace(day=1) == month]
            opened = [row for row in own if calendar.month(row["created_at"]) == month]
            told = {
                "exposure_days": len(lived),
                "onboarding_exposure_days": sum(
                    1 for day in lived if start and until and start <= day < until
                ),
                "tickets": len(opened),
                "onboarding_tickets": sum(
                    1
                    for row in opened
                    if start and until and start <= calendar.day(row["created_at"]) < until
                ),
                "high_priority_tickets": sum(
                    row["priority"] in ("high", "urgent") for row in opened
                ),
                "escalations": sum(row["is_escalated"] is True for row in opened),
                "reopens": sum(row["reopen_count"] or 0 for row in opened),
                "unreplied_tickets": sum(
                    not has_happened(row["first_replied_at"], calendar) for row in opened
                ),
                "rated": sum(row["satisfaction_score"] in range(1, 6) for row in opened),
                "satisfied": sum(row["satisfaction_score"] in (4, 5) for row in opened),
                "solved_tickets": sum(
                    calendar.month(max(row["solved_at"], row["created_at"])) == month
                    for row in own
                    if has_happened(row["solved_at"], calendar)
                ),
                "backlog_at_close": sum(
                    row["created_at"] < calendar.close(month)
                    and not (row["solved_at"] and row["solved_at"] < calendar.close(month))
                    for row in own
                ),
            }
            if any(told.values()):
                result[name, month] = told
            month = next_month(month)
    return result


def has_happened(instant: datetime | None, calendar: Calendar) -> bool:
    return instant is not None and instant < calendar.end


def quartiles(values: Sequence[Fraction]) -> tuple[Fraction, Fraction]:
    """First and third quartile, linear between the two values around them."""
    ordered = sorted(values)

    def at(share: Fraction) -> Fraction:
        position = share * (len(ordered) - 1)
        below = math.floor(position)
        above = math.ceil(position)
        return ordered[below] + (ordered[above] - ordered[below]) * (position - below)

    return at(Fraction(1, 4)), at(Fraction(3, 4))


def band(
    value: Fraction | None, own: Sequence[Fraction], everyone: Sequence[Fraction], least: int
) -> str:
    """low, normal or high of a rate among its peers, which are `everyone` where `own` are few."""
    if value is None:
        return "unknown"
    q1, q3 = quartiles(own if len(own) >= least else everyone)
    return "low" if value == 0 or value < q1 else "high" if value > q3 else "normal"


STATES = {
    ("low", "low"): "quiet_disengaged",
    ("normal", "low"): "quiet_disengaged",
    ("high", "low"): "noisy_struggling",
    ("low", "normal"): "quiet_healthy",
    ("normal", "normal"): "quiet_healthy",
    ("high", "normal"): "noisy_engaged",
    ("low", "high"): "quiet_healthy",
    ("normal", "high"): "quiet_healthy",
    ("high", "high"): "noisy_engaged",
}
"""(ticket band, usage band) to the state."""


def adoption_states(
    book: Book, rows: Sequence[Row], events: Sequence[Row], least: int = 8
) -> dict[tuple[str, date], tuple[str, str, str]]:
    """Ticket band, usage band and state of every account that pays at the close of each month."""
    support = account_months(book, rows)
    usage = Counter(
        (event["account_id"], book.calendar.month(event["occurred_at"]))
        for event in events
        if event["occurred_at"] < book.calendar.end
    )
    named = {name for name, _ in usage}
    first_month = min((month for _, month in usage), default=date.max)
    result = {}
    for month in book.months:
        paying = [name for name in book.spells if book.closing(name, month).is_customer]
        days = {name: support[name, month]["exposure_days"] for name in paying}
        asked = {name: Fraction(support[name, month]["tickets"], days[name]) for name in paying}
        used = {
            name: Fraction(usage[name, month], days[name])
            if name in named and month >= first_month
            else None
            for name in paying
        }
        for name in paying:
            peers = [
                other
                for other in paying
                if book.slices[other]["segment"] == book.slices[name]["segment"]
            ]
            ticket_band, usage_band = (
                band(
                    rates[name],
                    [rate for other in peers if (rate := rates[other]) is not None],
                    [rate for rate in rates.values() if rate is not None],
                    least,
                )
                for rates in (asked, used)
            )
            state = STATES.get((ticket_band, usage_band), "unknown_usage")
            result[name, month] = ticket_band, usage_band, state
    return result
