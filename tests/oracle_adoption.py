"""Adoption and the people side of churn once more, in plain Python, to hold the SQL against.

Belongs here: verdicts of the adoption rules, breadth, depth, the states of features, outcomes by
band, silent users and accounts, lost champions and handovers, from the written definitions by brute
force: one account, one close, one event at a time. Does not belong here: anything fast, SQL, data
frames, a rule read off a model.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

import oracle
from oracle import Book, Row, next_month

DAY = timedelta(days=1)
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Settings:
    """The policies of adoption, with their defaults."""

    week_begins: int = 0
    """Monday is 0, as in date.weekday()."""
    min_share_of_users: float = 0
    active_events: str | None = None
    """The one event that makes a person active; None is every event."""
    healthy_user_logins: int = 10
    depth_window_days: int = 28
    inactive_user_days: int = 90
    feature_window_weeks: int = 4
    feature_adopted_weeks: int = 3
    adoption_outcome_days: int = 90


@dataclass(frozen=True)
class Company:
    """A book of revenue with what else is known by the end of its as-of day."""

    book: Book
    events: Sequence[Row] = ()
    users: Sequence[Row] = ()
    assignments: Sequence[Row] = ()
    rules: Sequence[Row] = ()
    catalog: Sequence[Row] = ()
    settings: Settings = field(default_factory=Settings)

    @property
    def known_events(self) -> list[Row]:
        return [row for row in self.events if row["occurred_at"] < self.book.calendar.end]

    @property
    def accounts(self) -> list[str]:
        world = self.book.world
        return sorted({row["account_id"] for row in [*world.accounts, *world.subscriptions]})

    def day(self, event: Row) -> date:
        return self.book.calendar.day(event["occurred_at"])

    def events_of(self, account_id: str, start: date, end: date) -> list[Row]:
        """The account's events on days of [start, end)."""
        return [
            row
            for row in self.known_events
            if row["account_id"] == account_id and start <= self.day(row) < end
        ]

    def first_month(self, account_id: str) -> date:
        """The month of the first sign of the account: sign-up, subscription or event."""
        world, calendar = self.book.world, self.book.calendar
        signs = [
            *(row["signed_up_at"] for row in world.accounts if row["account_id"] == account_id),
            *(row["started_at"] for row in world.subscriptions if row["account_id"] == account_id),
            *(row["occurred_at"] for row in self.known_events if row["account_id"] == account_id),
        ]
        return calendar.month(min(signs))

    def months(self, account_id: str) -> Iterator[date]:
        month = self.first_month(account_id)
        while month <= self.book.calendar.as_of:
            yield month
            month = next_month(month)

    def close_day(self, month: date) -> date:
        """The first day that the close of `month` has not seen."""
        return self.book.calendar.last_day(month) + DAY

    def week(self, day: date) -> date:
        """The first day of the week that holds `day`."""
        return day - timedelta(days=(day.weekday() - self.settings.week_begins) % 7)

    def segment(self, account_id: str) -> str:
        rows = [row for row in self.book.world.accounts if row["account_id"] == account_id]
        return (rows[0]["segment"] if rows else None) or "unknown"

    def pays(self, account_id: str, month: date) -> bool:
        return self.book.closing(account_id, month).is_customer


# -------------------------------------------------------------------------------------- the rules


def rule_for(company: Company, account_id: str, day: date) -> Row | None:
    """The rule in force on `day`: one for the segment before one for all, then the newest."""
    segment = company.segment(account_id)
    for wanted in (segment, None):
        rules = [
            rule
            for rule in company.rules
            if rule["segment"] == wanted and rule["valid_from"] <= day
        ]
        if rules:
            return max(rules, key=lambda rule: rule["valid_from"])
    return None


def window_of(company: Company, month: date, weeks: int) -> tuple[date, date]:
    """The last `weeks` complete weeks before the close, as [start, end)."""
    end = company.week(company.close_day(month))
    return end - weeks * WEEK, end


def sessions_of(company: Company, events: Sequence[Row]) -> set[tuple[Any, ...]]:
    """Sessions are told apart by person and day: one over midnight is two."""
    return {
        (row["session_id"], row["user_id"], company.day(row))
        for row in events
        if row["session_id"] is not None
    }


def fulfils(company: Company, rule: Row, events: Sequence[Row]) -> bool | None:
    """Whether `events` of the window fulfil the rule; None where that hangs on untold sessions."""
    logins: dict[date, int] = {}
    for row in events:
        if row["event_name"] == rule["login_event"]:
            week = company.week(company.day(row))
            logins[week] = logins.get(week, 0) + 1
    weeks = sum(count >= rule["min_logins_per_week"] for count in logins.values())
    if weeks < rule["min_weeks"]:
        return False
    if not rule["min_share_of_sessions"]:
        return True
    sessions = sessions_of(company, events)
    keyed = sessions_of(company, [row for row in events if row["event_name"] == rule["key_event"]])
    if not sessions:
        return None
    return Fraction(len(keyed), len(sessions)) >= Fraction(str(rule["min_share_of_sessions"]))


def makes_active(company: Company, event: Row) -> bool:
    return company.settings.active_events in (None, event["event_name"])


def account_fulfils(company: Company, rule: Row, events: Sequence[Row]) -> bool | None:
    if not events:
        return False
    share = company.settings.min_share_of_users
    if not share:
        return fulfils(company, rule, events)
    if all(row["user_id"] is None for row in events):
        return None
    users = {row["user_id"] for row in events if makes_active(company, row)} - {None}
    if not users:
        return False
    verdicts = [
        fulfils(company, rule, [row for row in events if row["user_id"] == user]) for user in users
    ]
    needed = Fraction(str(share)) * len(users)
    if verdicts.count(True) >= needed:
        return True
    return None if verdicts.count(True) + verdicts.count(None) >= needed else False


def verdict(company: Company, account_id: str, month: date, rule_day: date) -> dict[str, Any]:
    """rule_version, eligibility, its reason and the verdict of the rule in force on `rule_day`."""
    rule = rule_for(company, account_id, rule_day)
    close = company.close_day(month)
    found = {"rule_version": rule["rule_version"] if rule else None, "is_fully_adopted": None}
    if not company.pays(account_id, month):
        return found | {"eligibility": "not_eligible", "reason": "not_paying"}
    if rule is None:
        return found | {"eligibility": "unknown", "reason": "no_rule"}
    calendar = company.book.calendar
    started_at = max(
        start for start, _ in company.book.spells[account_id] if start < calendar.close(month)
    )
    if (close - calendar.day(started_at)).days < rule["min_tenure_days"]:
        return found | {"eligibility": "not_eligible", "reason": "too_young"}
    if not company.events:
        return found | {"eligibility": "unknown", "reason": "no_usage_export"}
    if not company.events_of(account_id, date.min, close):
        return found | {"eligibility": "unknown", "reason": "no_usage_of_account"}
    told = {row["event_name"] for row in company.known_events if company.day(row) < close}
    if not told & {rule["login_event"], rule["key_event"]}:
        return found | {"eligibility": "unknown", "reason": "no_events_of_rule"}
    window = window_of(company, month, rule["window_weeks"])
    adopted = account_fulfils(company, rule, company.events_of(account_id, *window))
    if adopted is None:
        return found | {"eligibility": "unknown", "reason": "no_detail"}
    return found | {"eligibility": "eligible", "reason": None, "is_fully_adopted": adopted}


# ------------------------------------------------------------------------------ breadth and depth


def tiers_of(company: Company, account_id: str, month: date) -> set[str | None]:
    """The plan tiers that the account pays at the close of `month`."""
    day = company.book.calendar.last_day(month)
    items = company.book.closing(account_id, month).items
    return {item.plan_tier for item in items if company.book.value(item, day) > 0}


def is_use_of_features_told(company: Company, month: date) -> bool:
    """Whether use of any feature was told by the close: only then is none of it zero."""
    close = company.close_day(month)
    return any(row["feature"] and company.day(row) < close for row in company.known_events)


def entitlement(company: Company, account_id: str, feature: str, month: date) -> str:
    """entitled, no_longer_entitled (earlier in `month`), not_entitled or unknown at its close."""
    tiers = tiers_of(company, account_id, month) if company.pays(account_id, month) else set()
    catalogued = {row["plan_tier"] for row in company.catalog}
    if feature not in {row["feature"] for row in company.catalog}:
        return "unknown"
    if company.pays(account_id, month) and not tiers & catalogued:
        return "unknown"
    close = company.close_day(month)
    for row in company.catalog:
        if (
            row["feature"] == feature
            and row["plan_tier"] in tiers
            and (row["released_on"] or date.min) < close
            and (row["retired_on"] or date.max) >= close
        ):
            return "entitled"
    calendar = company.book.calendar
    had = {
        item.plan_tier
        for item in company.book.items.get(account_id, ())
        if item.touches(calendar.starts(month), calendar.close(month))
    }
    for row in company.catalog:
        if (
            row["feature"] == feature
            and row["plan_tier"] in had | tiers
            and (row["released_on"] or date.min) < close
            and (row["retired_on"] or date.max) > month
        ):
            return "no_longer_entitled"
    return "not_entitled"


def user_state(logins: int, logins_before: int, healthy_from: int = 10) -> str | None:
    """healthy, active or inactive by the logins in the window and in the days before it."""
    if logins >= healthy_from:
        return "healthy"
    if logins:
        return "active"
    return "inactive" if logins_before else None


def depth_band(depth: float | None) -> str:
    """The band of a share of healthy users."""
    bands = ((0.5, "green"), (0.35, "lime"), (0.2, "yellow"), (0.1, "orange"), (0, "red"))
    return next((band for start, band in bands if depth is not None and depth >= start), "unknown")


def users_by_state(company: Company, account_id: str, month: date) -> dict[str | None, int]:
    close, settings = company.close_day(month), company.settings
    recent = close - timedelta(days=settings.depth_window_days)
    counts: dict[str | None, int] = {}
    events = company.events_of(account_id, date.min, close)
    for user in {row["user_id"] for row in events} - {None}:
        days = [
            company.day(row)
            for row in events
            if row["user_id"] == user and row["event_name"] == "login"
        ]
        earlier = close - timedelta(days=settings.inactive_user_days)
        state = user_state(
            sum(day >= recent for day in days),
            sum(earlier <= day < recent for day in days),
            settings.healthy_user_logins,
        )
        counts[state] = counts.get(state, 0) + 1
    return counts


def seats(company: Company, account_id: str, month: date) -> int:
    day = company.book.calendar.last_day(month)
    quantities = {
        (row["subscription_id"], row["started_at"]): row["quantity"]
        for row in company.book.world.subscriptions
    }
    return sum(
        quantities[item.subscription_id, item.started_at]
        for item in company.book.closing(account_id, month).items
        if company.book.value(item, day) > 0
    )


def product_adoption(company: Company) -> list[dict[str, Any]]:
    """mart_product_adoption, the columns that carry meaning: one row per account and month."""
    return [
        adoption_of(company, name, month)
        for name in company.accounts
        for month in company.months(name)
    ]


def adoption_of(company: Company, account_id: str, month: date) -> dict[str, Any]:
    close, as_of = company.close_day(month), company.book.calendar.as_of
    then = verdict(company, account_id, month, close - DAY)
    now = verdict(company, account_id, month, as_of)
    rule = rule_for(company, account_id, close - DAY)
    logins: int | None = None
    frequency = None
    if rule and then["reason"] in (None, "too_young", "no_detail"):
        told = {row["event_name"] for row in company.known_events if company.day(row) < close}
        window = window_of(company, month, rule["window_weeks"])
        is_told = company.events_of(account_id, date.min, close)
        if is_told and told & {rule["login_event"], rule["key_event"]}:
            logins = sum(
                row["event_name"] == rule["login_event"]
                for row in company.events_of(account_id, *window)
            )
            frequency = logins / rule["window_weeks"]
    band = then["eligibility"]
    if band == "eligible":
        band = "full" if then["is_fully_adopted"] else "partial" if logins else "none"

    used = {row["feature"] for row in company.events_of(account_id, month, close)} - {None}
    features = {row["feature"] for row in company.catalog}
    entitled = {
        feature
        for feature in features
        if is_use_of_features_told(company, month)
        and entitlement(company, account_id, feature, month) == "entitled"
    }
    users = users_by_state(company, account_id, month)
    named = [
        row for row in company.events_of(account_id, date.min, close) if row["user_id"] is not None
    ]
    licensed = seats(company, account_id, month)
    depth = users.get("healthy", 0) / licensed if licensed and named else None
    return {
        "account_id": account_id,
        "period_start": month,
        "eligibility": then["eligibility"],
        "eligibility_reason": then["reason"],
        "rule_version": then["rule_version"] if company.pays(account_id, month) else None,
        "is_fully_adopted": then["is_fully_adopted"],
        "eligibility_now": now["eligibility"],
        "is_fully_adopted_now": now["is_fully_adopted"],
        "frequency": frequency,
        "breadth": len(used & entitled) / len(entitled) if entitled else None,
        "depth": depth,
        "depth_band": depth_band(depth),
        "adoption_band": band,
        "healthy_users": users.get("healthy", 0) if named else None,
        "active_users": users.get("active", 0) if named else None,
        "inactive_users": users.get("inactive", 0) if named else None,
    }


def slices_of(company: Company, account_id: str) -> dict[str, str]:
    """The slices of an account that may never have paid."""
    if account_id in company.book.slices:
        return company.book.slices[account_id]
    rows = [row for row in company.book.world.accounts if row["account_id"] == account_id]
    own = {name: (rows[0][name] if rows else None) or "unknown" for name in oracle.SLICED_BY}
    return {"total": "all", "plan_tier": "unknown", **own}


def rate_of_adoption(company: Company) -> list[dict[str, Any]]:
    """mart_rate_of_adoption where it counts anybody: one row per slice and month."""
    counts: dict[tuple[str, str, date], list[dict[str, Any]]] = {}
    for row in product_adoption(company):
        for dimension, value in slices_of(company, row["account_id"]).items():
            counts.setdefault((dimension, value, row["period_start"]), []).append(row)
    rows = []
    for (dimension, value, month), members in counts.items():
        found = [row["eligibility"] for row in members]
        adopted = sum(row["is_fully_adopted"] is True for row in members)
        eligible, unknown = found.count("eligible"), found.count("unknown")
        eligible_now = sum(row["eligibility_now"] == "eligible" for row in members)
        adopted_now = sum(row["is_fully_adopted_now"] is True for row in members)
        rows.append(
            {
                "slice_dimension": dimension,
                "slice_value": value,
                "period_start": month,
                "accounts": len(members),
                "eligible": eligible,
                "adopted": adopted,
                "unknown": unknown,
                "not_eligible": found.count("not_eligible"),
                "rate": oracle.ratio(adopted, eligible),
                "coverage": oracle.ratio(eligible, eligible + unknown),
                "eligible_now": eligible_now,
                "adopted_now": adopted_now,
                "rate_now": oracle.ratio(adopted_now, eligible_now),
            }
        )
    return rows


# -------------------------------------------------------------------------------------- features


def feature_state(company: Company, account_id: str, feature: str, month: date) -> str:
    """never_tried, tried, adopted or dropped at the close of `month`."""
    days = [
        company.day(row)
        for row in company.known_events
        if row["account_id"] == account_id and row["feature"] == feature
    ]

    def is_adopted(at: date) -> bool:
        start, end = window_of(company, at, company.settings.feature_window_weeks)
        weeks = {company.week(day) for day in days if start <= day < end}
        return len(weeks) >= company.settings.feature_adopted_weeks

    close = company.close_day(month)
    if not any(day < close for day in days):
        return "never_tried"
    if is_adopted(month):
        return "adopted"
    start, _ = window_of(company, month, company.settings.feature_window_weeks)
    is_used_now = any(min(start, month) <= day < close for day in days)
    earlier = min(days).replace(day=1)
    while earlier < month:
        if is_adopted(earlier) and not is_used_now:
            return "dropped"
        earlier = next_month(earlier)
    return "tried"


def feature_adoption(company: Company, month: date) -> dict[str, dict[str, Any]]:
    """mart_feature_adoption of one month, by feature; features without a row are left out."""
    if not is_use_of_features_told(company, month):
        return {}
    used_features = {row["feature"] for row in company.known_events} - {None}
    features = used_features | {row["feature"] for row in company.catalog}
    found = {}
    for feature in sorted(features):
        counts = {"tried": 0, "adopted": 0, "dropped": 0, "never_tried": 0}
        entitled = used = not_entitled = rows = 0
        kinds = {
            name: entitlement(company, name, feature, month)
            for name in {*company.accounts, *(row["account_id"] for row in company.known_events)}
            if company.first_month(name) <= month
        }
        using = {
            row["account_id"]
            for row in company.known_events
            if row["feature"] == feature and month <= company.day(row) < company.close_day(month)
        }
        shown = {
            name: kind
            for name, kind in kinds.items()
            if kind == "entitled"
            or name in using
            or (
                kind == "unknown"
                and company.pays(name, month)
                and feature_state(company, name, feature, month) != "never_tried"
            )
        }
        is_unknown = set(shown.values()) == {"unknown"}
        for name, kind in shown.items():
            rows += 1
            used += name in using
            entitled += kind == "entitled"
            not_entitled += kind == "not_entitled"
            if kind == "entitled" or (is_unknown and company.pays(name, month)):
                counts[feature_state(company, name, feature, month)] += 1
        if rows:
            found[feature] = {
                **counts,
                "entitled_accounts": None if is_unknown else entitled,
                "never_tried": None if is_unknown else counts["never_tried"],
                "not_entitled": None if is_unknown else not_entitled,
                "used_accounts": used,
            }
    return found


# --------------------------------------------------------------------------------------- outcomes


def wilson(successes: int, cases: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, as textbooks print it."""
    z, share = 1.96, successes / cases
    middle = (share + z * z / (2 * cases)) / (1 + z * z / cases)
    margin = (
        z
        / (1 + z * z / cases)
        * math.sqrt(share * (1 - share) / cases + z * z / (4 * cases * cases))
    )
    return max(middle - margin, 0.0), min(middle + margin, 1.0)


def churn_by_band(company: Company, month: date) -> dict[str, tuple[int, int]] | None:
    """(churned within the horizon, accounts) of each band, or None while it is being watched."""
    close = company.book.calendar.close(month)
    horizon = close + timedelta(days=company.settings.adoption_outcome_days)
    if horizon > company.book.calendar.end:
        return None
    found: dict[str, tuple[int, int]] = {}
    for row in product_adoption(company):
        if row["period_start"] != month or row["eligibility"] == "not_eligible":
            continue
        spells = company.book.spells[row["account_id"]]
        _, end = max((start, end) for start, end in spells if start < close)
        churned, accounts = found.get(row["adoption_band"], (0, 0))
        is_churned = end is not None and end < horizon
        found[row["adoption_band"]] = (churned + is_churned, accounts + 1)
    return found


# ----------------------------------------------------------------------------------------- people


def active(company: Company, month: date, of: str) -> set[tuple[Any, ...]]:
    """Who had an event in `month`: accounts, or their named users."""
    rows = [row for row in company.known_events if company.day(row).replace(day=1) == month]
    if of == "accounts":
        return {(row["account_id"],) for row in rows}
    return {(row["account_id"], row["user_id"]) for row in rows if row["user_id"] is not None}


def people(company: Company, month: date, members: Collection[str]) -> dict[str, int]:
    """The measures of lost users, champions, accounts and managers among `members` in `month`."""
    calendar, before = company.book.calendar, next_month(month, -1)
    opened, closed = calendar.starts(month), calendar.close(month)
    stayed = {name for name in members if company.pays(name, before) and company.pays(name, month)}
    accounts = {key for key in active(company, before, "accounts") if key[0] in members}
    users = {key for key in active(company, before, "users") if key[0] in stayed}
    now = active(company, month, "accounts")
    silent = {
        key
        for key in active(company, before, "users")
        if key not in active(company, month, "users")
    }
    champions: dict[str, bool] = {}
    for user in company.users:
        gone: datetime | None = user["deactivated_at"]
        name = user["account_id"]
        if (
            user["is_champion"]
            and name in stayed
            and user["created_at"] < opened
            and (gone is None or gone >= opened)
        ):
            is_lost = (gone is not None and gone < closed) or (name, user["user_id"]) in silent
            champions[name] = champions.get(name, False) or is_lost
    changes = 0
    for name in members:
        owners = sorted(
            (row["assigned_at"], row["csm_owner"])
            for row in company.assignments
            if row["account_id"] == name and row["assigned_at"] < calendar.end
        )
        for (_, old), (at, new) in itertools.pairwise(owners):
            if company.pays(name, before) and old != new and calendar.month(at) == month:
                changes += 1
    return {
        "opening_active_accounts": len(accounts),
        "silent_accounts": len(accounts - now),
        "opening_active_users": len(users),
        "silent_users": len(users & silent),
        "champion_accounts": len(champions),
        "champion_lost_accounts": sum(champions.values()),
        "csm_changes": changes,
    }
