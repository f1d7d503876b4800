"""Renewals, the parts of NRR, plan moves, trials and unit economics once more, in plain Python.

Belongs here: what METRICS says of them in 1.1, 1.5, 1.6 and 1.9, computed from the books of
oracle.py by brute force. Does not belong here: MRR itself, SQL, a rule read off a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from oracle import (
    ZERO,
    Book,
    Item,
    Row,
    is_void,
    item_of,
    kaplan_meier,
    monthly_amount,
    movement,
    next_month,
    ratio,
    recognised_ends,
)

NEVER = datetime.max
LTV_HORIZON_DAYS = 36 * 365 / 12


@dataclass(frozen=True)
class Line:
    """A subscription row that earns, and since when somebody pays for it."""

    row: Row
    item: Item
    paid_from: datetime
    is_paid: bool

    @property
    def end(self) -> datetime:
        return self.item.end or NEVER


def is_overdue(row: Row) -> bool:
    """Whether payment was due before the first paid day and never came."""
    if row["status"] == "active":
        return False
    first = max(row["started_at"], row["trial_end_at"] or row["started_at"])
    if row["past_due_since"] is None:
        return bool(row["status"] == "past_due")
    return bool(row["past_due_since"] <= first)


def lines_of(book: Book) -> dict[str, list[Line]]:
    """Every paid row of each account, its trial time left out whatever the policy."""
    known = [row for row in book.world.subscriptions if row["started_at"] < book.calendar.end]
    firsts: dict[str, datetime] = {}
    for row in known:
        name = row["subscription_id"]
        firsts[name] = min(row["started_at"], firsts.get(name, row["started_at"]))
    lines: dict[str, list[Line]] = {}
    for row in known:
        if row["status"] == "trialing":
            continue
        item = item_of(
            row, book.world, book.policies, book.calendar, firsts[row["subscription_id"]]
        )
        paid_from = max(row["started_at"], row["trial_end_at"] or row["started_at"])
        if item is None or paid_from >= (item.end or book.calendar.end):
            continue
        is_paid = item.monthly > 0 and not is_overdue(row)
        lines.setdefault(row["account_id"], []).append(Line(row, item, paid_from, is_paid))
    return lines


# ---------------------------------------------------------------------------------------- renewals


@dataclass(frozen=True)
class Renewal:
    account_id: str
    month: date
    exposed: Decimal
    won: Decimal
    is_open: bool

    @property
    def capped(self) -> Decimal:
        return min(self.exposed, self.won)

    @property
    def lost(self) -> Decimal:
        return ZERO if self.is_open else self.exposed - self.capped


def renewals(book: Book) -> list[Renewal]:
    """Every contract that was in force in the month of its last day, and what became of it."""
    return [found for lines in lines_of(book).values() for found in account_renewals(book, lines)]


def account_renewals(book: Book, lines: Sequence[Line]) -> Iterator[Renewal]:
    calendar = book.calendar
    lines = [line for line in lines if book.rates.has(line.row["currency"])]
    tolerance = timedelta(days=book.policies.gap_tolerance_days)
    contracts: dict[tuple[str, date], Line] = {}
    for line in sorted(lines, key=lambda line: (line.paid_from, line.row["started_at"])):
        term_end = line.row["term_end_date"]
        if term_end is None or not line.is_paid:
            continue
        ends = calendar.starts(term_end + timedelta(days=1))
        if line.paid_from < ends and book.value(line.item, calendar.as_of) > 0:
            contracts[line.row["subscription_id"], term_end] = line

    unanswered: dict[datetime, list[tuple[Line, date, date]]] = {}
    for (name, term_end), line in sorted(contracts.items()):
        month = term_end.replace(day=1)
        term_ends = calendar.starts(term_end + timedelta(days=1))
        last = min(term_ends, line.end)
        counted = book.in_force(line.item.account_id, min(last, calendar.end))
        keys = {(item.subscription_id, item.started_at) for item in counted}
        own = [
            other for other in lines if other.row["subscription_id"] == name and other.end > last
        ]
        overdue = [
            other.end
            for other in own
            if is_overdue(other.row) and other.paid_from <= last + tolerance
        ]
        limit = max([last, *overdue])
        open_until = min(limit, term_ends)
        if open_until <= calendar.starts(month) or (name, line.row["started_at"]) not in keys:
            continue
        day = next_month(calendar.month(last - timedelta(microseconds=1))) - timedelta(days=1)
        exposed = book.value(line.item, day)
        if last >= calendar.end:
            is_open = line.row["status"] != "canceled" or NEVER in overdue
            yield Renewal(line.item.account_id, month, exposed, ZERO, is_open)
            continue
        limit = limit if limit == NEVER else limit + tolerance
        paid = [
            other
            for other in own
            if other.is_paid
            and other.paid_from <= limit
            and book.value(other.item, calendar.as_of) > 0
        ]
        if paid:
            first = min(paid, key=lambda other: (other.paid_from, other.row["started_at"]))
            won = book.value(first.item, day)
            yield Renewal(line.item.account_id, month, exposed, won, is_open=False)
        elif NEVER in overdue:
            yield Renewal(line.item.account_id, month, exposed, ZERO, is_open=True)
        else:
            unanswered.setdefault(last, []).append((line, term_end, day))
    yield from replaced(book, lines, unanswered, tolerance)


def replaced(
    book: Book,
    lines: Sequence[Line],
    unanswered: dict[datetime, list[tuple[Line, date, date]]],
    tolerance: timedelta,
) -> Iterator[Renewal]:
    """Contracts whose subscription did not go on; what the account started then is shared out."""
    payers = [
        line for line in lines if line.is_paid and book.value(line.item, book.calendar.as_of) > 0
    ]
    firsts: dict[str, datetime] = {}
    for line in payers:
        name = line.row["subscription_id"]
        firsts[name] = min(line.paid_from, firsts.get(name, line.paid_from))
    pools: dict[datetime, list[Line]] = {}
    for line in payers:
        earlier = [last for last in unanswered if last <= line.paid_from]
        if line.paid_from == firsts[line.row["subscription_id"]] and earlier:
            last = max(earlier)
            if line.paid_from <= last + tolerance:
                pools.setdefault(last, []).append(line)
    for last, contracts in unanswered.items():
        day = contracts[0][2]
        pool = sum((book.value(line.item, day) for line in pools.get(last, [])), ZERO)
        ordered = sorted(contracts, key=lambda c: (c[0].row["subscription_id"], c[1]))
        for index, (line, term_end, _) in enumerate(ordered):
            exposed = book.value(line.item, day)
            won = pool if index == len(ordered) - 1 else min(pool, exposed)
            pool -= won
            is_open = (
                won == 0
                and line.row["status"] != "canceled"
                and last + tolerance >= book.calendar.end
            )
            yield Renewal(line.item.account_id, term_end.replace(day=1), exposed, won, is_open)


def mart_renewals(book: Book) -> list[dict[str, Any]]:
    """mart_renewals: one row per slice and month since the first with a contract up for renewal."""
    found = renewals(book)
    rows: list[dict[str, Any]] = []
    for dimension, value, members in book.sliced():
        for month in book.months:
            if not found or month < min(renewal.month for renewal in found):
                continue
            own = [r for r in found if r.month == month and r.account_id in members]
            names = {r.account_id for r in own}
            renewed = {r.account_id for r in own if r.won > 0}
            still_open = {r.account_id for r in own if r.is_open} - renewed
            exposed = sum((r.exposed for r in own), ZERO)
            capped = sum((r.capped for r in own), ZERO)
            opened = sum((r.exposed for r in own if r.is_open), ZERO)
            rows.append(
                {
                    "slice_dimension": dimension,
                    "slice_value": value,
                    "period_start": month,
                    "exposed_mrr": exposed,
                    "renewed_mrr": sum((r.won for r in own), ZERO),
                    "renewed_capped": capped,
                    "lost_mrr": sum((r.lost for r in own), ZERO),
                    "open_mrr": opened,
                    "exposed_accounts": len(names),
                    "renewed_accounts": len(renewed),
                    "open_accounts": len(still_open),
                    "lost_accounts": len(names - renewed - still_open),
                    "renewal_rate": None if exposed == opened else ratio(capped, exposed),
                    "best_case_rate": ratio(capped + opened, exposed),
                }
            )
    return rows


def nrr_parts(book: Book, windows: Sequence[int] = (1, 3, 12)) -> list[dict[str, Any]]:
    """The parts of NRR: one row per slice, closing month and window."""
    rows = []
    terms = {
        (row["subscription_id"], row["started_at"]): row["term_end_date"]
        for row in book.world.subscriptions
    }
    for dimension, value, members in book.sliced():
        for month in book.months:
            for window in windows:
                origin = next_month(month, -window)
                parts = [ZERO] * 4
                for name in members:
                    if not book.closing(name, origin).is_customer:
                        continue
                    then, now = book.closing(name, origin).items, book.closing(name, month).items
                    before, after = book.calendar.last_day(origin), book.calendar.last_day(month)
                    opening, closing = book.mrr(then, before), book.mrr(now, after)
                    due = kept = ZERO
                    for item in then:
                        term_end = terms[item.subscription_id, item.started_at]
                        worth = book.value(item, before)
                        if term_end is not None and (
                            next_month(origin) <= term_end + timedelta(days=1) <= after
                        ):
                            due += worth
                        else:
                            same = [i for i in now if i.subscription_id == item.subscription_id]
                            kept += min(worth, book.mrr(same, after))
                    retained = min(opening, closing)
                    renewed = min(due, max(retained - kept, ZERO))
                    sums = (due, renewed, retained - renewed, closing - retained)
                    parts = [a + b for a, b in zip(parts, sums, strict=True)]
                rows.append(
                    {
                        "slice_dimension": dimension,
                        "slice_value": value,
                        "period_start": month,
                        "window_months": window,
                        "up_for_renewal_mrr": parts[0],
                        "renewed_mrr": parts[1],
                        "retained_not_due_mrr": parts[2],
                        "expansion_mrr": parts[3],
                    }
                )
    return rows


# ------------------------------------------------------------------------------------------- plans


def plan_at_close(book: Book, name: str, month: date) -> str:
    """The plan of a paying account by the rule of the slice; of one that pays nothing, the last."""
    if not book.closing(name, month).is_customer:
        return "none"
    while True:
        day = book.calendar.last_day(month)
        paid = [i for i in book.closing(name, month).items if book.value(i, day) > 0]
        if paid:
            return max(paid, key=lambda item: book.rank(item, day)).plan_tier or "unknown"
        month = next_month(month, -1)


def plan_migration(book: Book) -> list[dict[str, Any]]:
    """mart_plan_migration without its causes: one row per from_plan, to_plan and month."""
    cells: dict[tuple[str, str, date], list[Decimal]] = {}
    for name, month in book.states:
        moved = movement(book, name, month)
        if not (moved.was_customer or moved.is_customer):
            continue
        opened = plan_at_close(book, name, next_month(month, -1)) if moved.was_customer else "none"
        cell = cells.setdefault((opened, plan_at_close(book, name, month), month), [])
        cell.append(moved.closing - moved.opening - moved.fx)
    return [
        {
            "from_plan": opened,
            "to_plan": closed,
            "period_start": month,
            "accounts": len(deltas),
            "mrr_delta": sum(deltas, ZERO),
        }
        for (opened, closed, month), deltas in cells.items()
    ]


# ------------------------------------------------------------------------------------------ trials


def trial_times(book: Book) -> dict[str, list[tuple[datetime, datetime]]]:
    """The trials of each account, those a tolerated hole apart joined; NEVER = no known end."""
    times: dict[str, list[tuple[datetime, datetime]]] = {}
    for row in book.world.subscriptions:
        start, until = row["started_at"], row["trial_end_at"]
        if is_void(row):
            continue
        if row["status"] == "trialing":
            end = row["ended_at"] or until or NEVER
        elif until is not None and until > start:
            end = min(until, row["ended_at"] or NEVER)
        else:
            continue
        if start < end and start < book.calendar.end:
            times.setdefault(row["account_id"], []).append((start, end))
    joined: dict[str, list[tuple[datetime, datetime]]] = {}
    for name, own in times.items():
        for start, end in sorted(own):
            last = joined.setdefault(name, [])
            tolerance = timedelta(days=book.policies.gap_tolerance_days)
            if last and (last[-1][1] == NEVER or start <= last[-1][1] + tolerance):
                last[-1] = (last[-1][0], max(last[-1][1], end))
            else:
                last.append((start, end))
    return joined


def was_paid_before(row: Row, lines: Sequence[Line]) -> bool:
    """Whether an earlier row of the subscription was paid for, so that this one is but late."""
    return any(
        line.is_paid
        and line.row["subscription_id"] == row["subscription_id"]
        and line.row["started_at"] < row["started_at"]
        for line in lines
    )


def failed_payments(book: Book, name: str) -> list[datetime]:
    """When each row of the account began to be due that nobody paid for, whatever the grace."""
    due = []
    for row in book.world.subscriptions:
        if row["account_id"] != name or is_void(row) or not is_overdue(row):
            continue
        if row["status"] in ("trialing", "paused") or monthly_amount(row, book.policies) <= 0:
            continue
        paid_from = max(row["started_at"], row["trial_end_at"] or row["started_at"])
        end = min(recognised_ends(row, book.world, book.policies), default=NEVER)
        grace = timedelta(days=book.policies.past_due_grace_days)
        written_off = max((row["past_due_since"] or row["started_at"]) + grace, row["started_at"])
        is_written_off = row["status"] == "past_due" and written_off <= end
        end = written_off if is_written_off else end
        is_due = paid_from < end or (is_written_off and paid_from == end)
        if is_due and paid_from < book.calendar.end:
            due.append(paid_from)
    return due


def trial_conversion(book: Book, window: int = 30) -> list[dict[str, Any]]:
    """mart_trial_conversion: one row per month in which a trial began."""
    lines = lines_of(book)
    cohorts: dict[date, list[tuple[datetime, datetime | None, bool]]] = {}
    for name, times in trial_times(book).items():
        own = [line for line in lines.get(name, []) if line.item.monthly > 0]
        paying = [line for line in own if line.is_paid or was_paid_before(line.row, own)]
        for start, end in times:
            if any(li.paid_from <= start < li.end for li in paying):
                continue
            paid = [li.paid_from for li in own if li.is_paid and li.paid_from >= start]
            failed = [due for due in failed_payments(book, name) if due >= start]
            has_failed = (
                bool(failed) and end != NEVER and (min(failed) <= end + timedelta(days=window))
            )
            month = book.calendar.month(start)
            cohorts.setdefault(month, []).append((end, min(paid, default=None), has_failed))

    def rate(cohort: list[tuple[datetime, datetime | None, bool]], days: int, month: date) -> Any:
        ended = [(end, paid) for end, paid, _ in cohort if end != NEVER]
        span = timedelta(days=days)
        if not book.calendar.is_complete(month) or any(
            end + span >= book.calendar.end for end, _ in ended
        ):
            return None
        won = sum(paid is not None and paid <= end + span for end, paid in ended)
        return ratio(won, len(ended))

    rows = []
    for month, cohort in cohorts.items():
        span = timedelta(days=window)
        matured = [c for c in cohort if c[0] != NEVER and c[0] + span < book.calendar.end]
        won = [c for c in matured if c[1] is not None and c[1] <= c[0] + span]
        rows.append(
            {
                "cohort_start": month,
                "started": len(cohort),
                "running": sum(end >= book.calendar.end for end, _, _ in cohort),
                "matured": len(matured),
                "converted": len(won),
                "failed_first_payment": sum(c[2] for c in matured if c not in won),
                "conversion_rate": rate(cohort, window, month),
                **{f"rate_{days}": rate(cohort, days, month) for days in (30, 60, 90)},
            }
        )
    return rows


# ---------------------------------------------------------------------------------- unit economics


def restricted_months(book: Book, members: Sequence[str]) -> float:
    """The area under the survival curve of first spells up to the horizon (months)."""
    lives = []
    for name in members:
        start, end = book.spells[name][0]
        last_day = book.calendar.as_of if end is None else book.calendar.day(end)
        lives.append(((last_day - book.calendar.day(start)).days, end is not None))
    area, reached, survival = 0.0, 0.0, 1.0
    for row in kaplan_meier(lives):
        age = min(row["age_days"], LTV_HORIZON_DAYS)
        area += survival * (age - reached)
        reached, survival = age, row["survival"]
    return (area + survival * (LTV_HORIZON_DAYS - reached)) * 12 / 365


def committed(book: Book, name: str) -> Decimal:
    """What the account pays once all that is known to come has come."""
    end = book.calendar.end
    candidates = []
    future: dict[str, Row] = {}
    for row in book.world.subscriptions:
        if row["account_id"] != name or not book.rates.has(row["currency"]):
            continue
        if row["started_at"] >= end:
            known = future.get(row["subscription_id"], row)
            future[row["subscription_id"]] = min(known, row, key=lambda r: r["started_at"])
    firsts = {
        row["subscription_id"]: min(
            other["started_at"]
            for other in book.world.subscriptions
            if other["subscription_id"] == row["subscription_id"]
        )
        for row in book.world.subscriptions
    }
    live = {(i.subscription_id, i.started_at) for i in book.items.get(name, []) if i.end is None}
    for row in book.world.subscriptions:
        if (row["subscription_id"], row["started_at"]) in live and row["account_id"] == name:
            asked = row["cancel_requested_at"]
            if row["ended_at"] is None and (asked is None or asked >= end):
                candidates.append(row)
    for row in future.values():
        is_trial = (row["trial_end_at"] or row["started_at"]) > row["started_at"]
        if row["status"] in ("active", "past_due") and not is_trial:
            candidates.append(row)
    day = next_month(book.calendar.as_of.replace(day=1)) - timedelta(days=1)
    worth = [
        (row["started_at"], book.value(priced(book, row, firsts), day), row["subscription_id"])
        for row in candidates
    ]
    if book.policies.account_mrr_policy == "latest_start":
        return max(worth)[1] if worth else ZERO
    return sum((mrr for _, mrr, _ in worth), ZERO)


def priced(book: Book, row: Row, firsts: dict[str, datetime]) -> Item:
    constant = book.policies.fx_policy == "constant"
    return Item(
        account_id=row["account_id"],
        subscription_id=row["subscription_id"],
        plan_tier=row["plan_tier"],
        started_at=row["started_at"],
        start=row["started_at"],
        end=None,
        is_dunned=False,
        monthly=monthly_amount(row, book.policies),
        currency=row["currency"],
        rate_day=book.calendar.day(firsts[row["subscription_id"]]) if constant else None,
    )


def unit_economics(book: Book) -> list[dict[str, Any]]:
    """mart_unit_economics of accounts that ever paid, at margin 1: a row per slice and month."""
    rows = []
    policies = book.policies
    for dimension, value, members in book.sliced():
        lifetime = restricted_months(book, members)
        rates: list[float | None] = []
        for month in book.months:
            mrr = sum((book.closing_mrr(name, month) for name in members), ZERO)
            payers = sum(book.closing(name, month).is_customer for name in members)
            moves = [movement(book, name, month) for name in members]
            arpa = ratio(mrr, payers)
            before = [rate for rate in rates[-6:] if rate is not None]
            churn = sum(before) / 6 if len(before) == 6 else None
            rates.append(ratio(sum(m.is_loss for m in moves), sum(m.was_customer for m in moves)))
            row = {
                "slice_dimension": dimension,
                "slice_value": value,
                "period_start": month,
                "arpa": arpa,
                "churn_6m": churn,
                "ltv_simple": arpa / churn if arpa is not None and churn else None,
            }
            # The books know when paid cover ended; other policies keep a customer longer.
            if (policies.free_after_paid, policies.mrr_snapshot) == ("churn", "period_end"):
                row["ltv_restricted"] = None if arpa is None else arpa * lifetime
            if dimension == "total" and month == book.months[-1]:
                everybody = {row["account_id"] for row in book.world.subscriptions}
                row["committed_mrr"] = sum((committed(book, name) for name in everybody), ZERO)
            rows.append(row)
    return rows
