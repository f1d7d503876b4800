"""Usage once more, in plain Python, to hold the SQL against.

Belongs here: which events count, what a day of use holds, trailing counts, retention, lifecycle
states and use before churn, from the written definitions by brute force: one user, one day and one
window at a time. Does not belong here: anything fast, SQL, data frames, a rule read off a model.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from oracle import Row, next_month

DAY = timedelta(1)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Rules:
    """The policies that change what usage says, with their defaults."""

    late_arrival_days: int = 3
    reporting_timezone: str = "UTC"
    session_idle_minutes: int = 30
    max_minutes_per_user_day: int = 1440
    active_events: str | None = None
    week_start: str = "monday"


def local_day(at: datetime, zone: str) -> date:
    return at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date()


def counted(rows: Sequence[Row], as_of: date, rules: Rules) -> list[dict[str, Any]]:
    """The events that count by the end of `as_of`; each row names its landing_date."""
    landed = [row for row in rows if row["landing_date"] <= as_of]
    days: dict[str, set[date]] = defaultdict(set)
    for row in landed:
        days[row["event_id"]].add(row["landing_date"])
    return [
        {**row, "day": day}
        for row in landed
        if not any(
            row["landing_date"] - DAY * back in days[row["event_id"]]
            for back in range(1, rules.late_arrival_days + 1)
        )
        and (day := local_day(row["occurred_at"], rules.reporting_timezone)) <= as_of
    ]


def time_spent(events: Sequence[Row], rules: Rules) -> dict[tuple[str, date], timedelta]:
    """By event_id and landing day; the gap to the next event of the account, session and day."""
    spent = {}
    for row in events:
        later = sorted(
            (other["occurred_at"], other["event_id"], other["landing_date"])
            for other in events
            if row["session_id"] is not None
            and all(other[name] == row[name] for name in ("account_id", "session_id", "day"))
            and (other["occurred_at"], other["event_id"], other["landing_date"])
            > (row["occurred_at"], row["event_id"], row["landing_date"])
        )
        gap = later[0][0] - row["occurred_at"] if later else timedelta(0)
        if row["duration_seconds"] is not None:
            gap = timedelta(seconds=row["duration_seconds"])
        elif gap > MINUTE * rules.session_idle_minutes:
            gap = timedelta(0)
        spent[row["event_id"], row["landing_date"]] = gap
    return spent


def is_active(row: Row, rules: Rules) -> bool:
    names = [name.strip() for name in (rules.active_events or "").split(",") if name.strip()]
    return not names or row["event_name"] in names


def _measures(events: Sequence[Row], rules: Rules) -> dict[str, Any]:
    return {
        "events": len(events),
        "active_events": sum(is_active(row, rules) for row in events),
        "logins": sum(row["event_name"] == "login" for row in events),
        "key_actions": sum(row["event_name"] == "report_created" for row in events),
        "sessions": len({row["session_id"] for row in events} - {None}),
    }


def _groups(events: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in events:
        groups[tuple(row[name] for name in names)].append(row)
    return groups


def _minutes(events: Sequence[Row], rules: Rules, spent: Mapping[Any, timedelta]) -> Decimal:
    """Of the events of one user (or of nobody known) on one day."""
    total = sum((spent[row["event_id"], row["landing_date"]] for row in events), timedelta(0))
    minutes = Decimal(total // timedelta(microseconds=1)) / Decimal(60_000_000)
    if events[0]["user_id"] is not None:
        minutes = min(minutes, Decimal(rules.max_minutes_per_user_day))
    return minutes.quantize(Decimal("0.000001"))


def user_days(events: Sequence[Row], rules: Rules) -> list[dict[str, Any]]:
    spent = time_spent(events, rules)
    return [
        {"account_id": account, "user_id": user, "occurred_date": day}
        | _measures(rows, rules)
        | {"minutes": _minutes(rows, rules, spent)}
        for (account, user, day), rows in _groups(events, "account_id", "user_id", "day").items()
    ]


def account_days(events: Sequence[Row], rules: Rules) -> list[dict[str, Any]]:
    spent = time_spent(events, rules)
    return [
        {"account_id": account, "occurred_date": day}
        | _measures(rows, rules)
        | {
            "active_users": len({row["user_id"] for row in rows if is_active(row, rules)} - {None}),
            "minutes": sum(
                _minutes(mine, rules, spent) for mine in _groups(rows, "user_id").values()
            ),
        }
        for (account, day), rows in _groups(events, "account_id", "day").items()
    ]


# What the adoption rules and milestones of the seeds ask for by name.
ASKED_FOR = ("login", "report_created")


def user_day_events(events: Sequence[Row]) -> list[dict[str, Any]]:
    names = ("account_id", "user_id", "day", "event_name")
    return [
        {
            "account_id": account,
            "user_id": user,
            "occurred_date": day,
            "event_name": name,
            "events": len(rows),
            "sessions": len({row["session_id"] for row in rows} - {None}),
        }
        for (account, user, day, name), rows in _groups(events, *names).items()
        if name in ASKED_FOR
    ]


def account_day_features(events: Sequence[Row]) -> list[dict[str, Any]]:
    return [
        {"account_id": account, "occurred_date": day, "feature": feature}
        for account, day, feature in _groups(events, "account_id", "day", "feature")
        if feature is not None
    ]


def account_months(events: Sequence[Row], rules: Rules) -> list[dict[str, Any]]:
    months = []
    rows = [{**row, "month": row["day"].replace(day=1)} for row in events]
    days = _groups(account_days(events, rules), "account_id")
    for (account, month), mine in _groups(rows, "account_id", "month").items():
        active = [row for row in mine if is_active(row, rules)]
        of_month = [day for day in days[account,] if day["occurred_date"].replace(day=1) == month]
        months.append(
            {
                "account_id": account,
                "period_start": month,
                "active_users": len({row["user_id"] for row in active} - {None}),
                "active_days": len({row["day"] for row in active}),
                "features_used": len({row["feature"] for row in mine} - {None}),
                "last_event_date": max(row["day"] for row in mine),
            }
            | {
                name: sum(day[name] for day in of_month)
                for name in ("events", "active_events", "logins", "key_actions", "sessions")
            }
            | {"minutes": sum(day["minutes"] for day in of_month)}
        )
    return months


def first_occurrences(events: Sequence[Row]) -> set[tuple[str, str, str, datetime]]:
    """(account, event_name, place, occurred_at) of the first of each account, as the seeds ask."""
    return {
        (account, name, "1", min(row["occurred_at"] for row in rows))
        for (account, name), rows in _groups(events, "account_id", "event_name").items()
        if name in ASKED_FOR
    }


# ------------------------------------------------------------------------------------------- marts


def active_days(
    events: Sequence[Row], rules: Rules, *, of_users: bool
) -> dict[tuple[str, str], set[date]]:
    """The active days of each user of an account, or of each account."""
    found: dict[tuple[str, str], set[date]] = defaultdict(set)
    for row in events:
        member = row["user_id"] if of_users else row["account_id"]
        if member is not None and is_active(row, rules):
            found[row["account_id"], member].add(row["day"])
    return found


def days_between(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += DAY


def engagement(
    events: Sequence[Row], as_of: date, rules: Rules, accounts: set[str] | None = None
) -> dict[date, dict[str, Any]]:
    """Trailing counts at each day since the first event of all, over `accounts` (or over all)."""
    mine = [row for row in events if accounts is None or row["account_id"] in accounts]
    users = active_days(mine, rules, of_users=True)
    active_accounts = active_days(mine, rules, of_users=False)
    last_days: dict[str, set[date]] = defaultdict(set)
    for row in mine:
        last_days[row["account_id"]].add(row["day"])

    def within(members: Mapping[Any, set[date]], day: date, window: int) -> int:
        return sum(
            any(day - DAY * window < used <= day for used in used_on)
            for used_on in members.values()
        )

    rows = {}
    for day in days_between(min((row["day"] for row in events), default=as_of + DAY), as_of):
        of_seven = Counter(
            sum(day - DAY * 7 < used <= day for used in used_on) for used_on in users.values()
        )
        last = [
            max(used for used in on if used <= day) for on in last_days.values() if min(on) <= day
        ]
        rows[day] = {
            "dau": within(users, day, 1),
            "wau": within(users, day, 7),
            "mau": within(users, day, 30),
            "daily_active_accounts": within(active_accounts, day, 1),
            "weekly_active_accounts": within(active_accounts, day, 7),
            "monthly_active_accounts": within(active_accounts, day, 30),
            "active_day_distribution": [of_seven[count] for count in range(1, 8)],
            "active_user_days_30d": sum(within(users, day - DAY * back, 1) for back in range(30)),
            "accounts_with_events": len(last),
            "idle_days": sum((day - used).days for used in last),
        }
    return rows


def period_of(day: date, grain: str, rules: Rules) -> date:
    if grain == "month":
        return day.replace(day=1)
    weekdays = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    while weekdays[day.weekday()] != rules.week_start:
        day -= DAY
    return day


def period_after(start: date, grain: str) -> date:
    return next_month(start) if grain == "month" else start + DAY * 7


def period_before(start: date, grain: str) -> date:
    return next_month(start, -1) if grain == "month" else start - DAY * 7


def active_day_buckets(
    events: Sequence[Row], rules: Rules
) -> dict[tuple[str, date, int], tuple[int, int]]:
    """(grain, period, days) -> users active on exactly so many days of it, on at least so many."""
    counts: dict[tuple[str, date], Counter[Any]] = defaultdict(Counter)
    for user, days in active_days(events, rules, of_users=True).items():
        for day in days:
            for grain in ("week", "month"):
                counts[grain, period_of(day, grain, rules)][user] += 1
    return {
        (grain, start, days): (
            sum(count == days for count in users.values()),
            sum(count >= days for count in users.values()),
        )
        for (grain, start), users in counts.items()
        for days in range(1, (period_after(start, grain) - start).days + 1)
    }


def retention(
    events: Sequence[Row], as_of: date, rules: Rules, ages: int, brackets: Sequence[int]
) -> dict[tuple[date, str, int], tuple[int, int]]:
    """(cohort week, kind, age) -> users eligible, users returned; of mature cells alone."""
    cohorts: dict[date, list[tuple[date, set[date]]]] = defaultdict(list)
    for days in active_days(events, rules, of_users=True).values():
        cohorts[period_of(min(days), "week", rules)].append((min(days), days))
    cells = {}
    for week, users in cohorts.items():
        last_member = week + DAY * 6
        for age in range(ages + 1):
            if last_member + DAY * age <= as_of:
                on = sum(first + DAY * age in days for first, days in users)
                after = sum(max(days) >= first + DAY * age for first, days in users)
                cells[week, "on", age] = (len(users), on)
                cells[week, "on_or_after", age] = (len(users), after)
        for start, end in pairwise(brackets):
            if last_member + DAY * (end - 1) <= as_of:
                returned = sum(
                    any(start <= (day - first).days < end for day in days) for first, days in users
                )
                cells[week, "bracket", start] = (len(users), returned)
    return cells


def lifecycle(
    events: Sequence[Row], accounts: Sequence[Row], as_of: date, rules: Rules
) -> dict[tuple[str, date], dict[str, str]]:
    """(grain, period) -> the state of every account known by the end of the period."""
    if not events:
        return {}
    created = {
        row["account_id"]: local_day(row["signed_up_at"], rules.reporting_timezone)
        for row in accounts
    }
    on = {
        account: days for (account, _), days in active_days(events, rules, of_users=False).items()
    }
    seen: dict[str, set[date]] = defaultdict(set)
    for row in events:
        seen[row["account_id"]].add(row["day"])
    states: dict[tuple[str, date], dict[str, str]] = {}
    for grain in ("week", "month"):
        start = period_of(min(row["day"] for row in events), grain, rules)
        while start <= as_of:
            end = period_after(start, grain)
            states[grain, start] = {}
            for account in created.keys() | seen.keys():
                known = min(seen[account] | ({created[account]} if account in created else set()))
                if known >= end or known > as_of:
                    continue
                periods = {period_of(day, grain, rules) for day in on.get(account, ())}
                before = {period for period in periods if period < start}
                just_before = period_before(start, grain) in periods
                if start in periods and not before:
                    is_late = account in created and created[account] < start
                    state = "late_start" if is_late else "new"
                elif start in periods:
                    state = "returning" if just_before else "resurrecting"
                elif before:
                    state = "dormant" if just_before else "inactive"
                else:
                    state = "never_active"
                states[grain, start][account] = state
            start = end
    return states


def before_churn(
    events: Sequence[Row],
    account_months: Sequence[Row],
    known_from: Mapping[str, date],
    as_of: date,
) -> dict[tuple[str, str, int], dict[str, int]]:
    """(tenure band, outcome, months before) -> the sums over paying account-months.

    `account_months` has account_id, period_start, cohort_start, opening_accounts, churned_accounts,
    closing_accounts; `known_from` the day on which an account was first heard of, its events aside.
    """
    first_event = min((row["day"] for row in events), default=as_of + DAY)
    of_account: dict[str, list[date]] = defaultdict(list)
    for row in events:
        of_account[row["account_id"]].append(row["day"])
    sums: dict[tuple[str, str, int], Counter[str]] = defaultdict(Counter)
    paid = {
        (month["account_id"], next_month(month["period_start"]))
        for month in account_months
        if month["closing_accounts"]
    }
    for month in account_months:
        start = month["period_start"]
        if not month["opening_accounts"] or next_month(start) > as_of + DAY:
            continue
        outcome = "churned" if month["churned_accounts"] else "retained"
        tenure = 0
        while next_month(month["cohort_start"], tenure) < start:
            tenure += 1
        for months_before in range(1, 4):
            closed_at = next_month(start, 1 - months_before)
            if (month["account_id"], closed_at) not in paid:
                continue
            last_day = closed_at - DAY
            days = of_account[month["account_id"]]
            used = sum(last_day - DAY * 28 < day <= last_day for day in days)
            used_before = sum(last_day - DAY * 56 < day <= last_day - DAY * 28 for day in days)
            cell = sums[_band(tenure), outcome, months_before]
            cell["account_months"] += 1
            if first_event > last_day - DAY * 27:
                continue
            cell["observations"] += 1
            cell["events_28d"] += used
            cell["unused_observations"] += not used
            young = min([known_from[month["account_id"]], *days]) > last_day - DAY * 55
            if not young and first_event <= last_day - DAY * 55:
                cell["compared_events_28d"] += used
                cell["events_previous_28d"] += used_before
            if past := [day for day in days if day <= last_day]:
                cell["accounts_with_events"] += 1
                cell["idle_days"] += (last_day - max(past)).days
    return {key: dict(cell) for key, cell in sums.items()}


def _band(tenure_months: int) -> str:
    for to, band in ((3, "1-3"), (6, "4-6"), (12, "7-12"), (24, "13-24")):
        if tenure_months <= to:
            return band
    return "25+"
