"""The revenue marts once more, in plain Python, to hold the SQL against.

Belongs here: MRR, the bridge, churn, retention, cohorts, growth and logo survival, computed from
the written definitions by brute force: dictionaries, fractions and dates, one account and one
instant at a time. Does not belong here: anything fast, SQL, data frames, a rule read off a model.

Rows go in as dictionaries with the column names of the canonical exports; instants are UTC without
zone, periods half-open. Mart rows come out as dictionaries: money is Decimal in major units of the
base currency, rates are floats, None where undefined.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
Cover = tuple[datetime, datetime | None]

ZERO = Decimal(0)
EARLY_DAYS = 90
LARGEST = 10
SLICED_BY = ("segment", "country", "acquisition_channel")
WHOLE_UNITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"
TEN_THOUSANDTHS = "CLF UYW"
MONTHS_PER_INTERVAL = {
    "year": Fraction(1, 12),
    "month": Fraction(1),
    "week": Fraction(52, 12),
    "day": Fraction(365, 12),
}


@dataclass(frozen=True)
class Policies:
    """The settings that change a number, with their defaults."""

    account_mrr_policy: Literal["sum", "latest_start"] = "sum"
    trial_policy: Literal["exclude", "include"] = "exclude"
    mrr_snapshot: Literal["period_end", "any_time"] = "period_end"
    past_due_grace_days: int = 30
    gap_tolerance_days: int = 7
    discount_policy: Literal["all", "none"] = "all"
    free_after_paid: Literal["churn", "contraction"] = "churn"
    fx_policy: Literal["constant", "period_end"] = "constant"
    base_currency: str = "USD"
    churn_recognition: Literal["service_end", "cancel_effective", "cancel_requested"] = (
        "service_end"
    )
    reporting_timezone: str = "UTC"
    min_cohort_customers: int = 5


@dataclass(frozen=True)
class World:
    """What is known by the end of the day `as_of`: rows of the exports, one per key."""

    as_of: date
    subscriptions: Sequence[Row] = ()
    accounts: Sequence[Row] = ()
    cancellations: Sequence[Row] = ()
    fx_rates: Sequence[Row] = ()
    orders: Sequence[Row] = ()


# ---------------------------------------------------------------------------------- time and money


def next_month(month: date, count: int = 1) -> date:
    """The first day of the month `count` months later (or earlier, when negative)."""
    years, index = divmod(month.month - 1 + count, 12)
    return date(month.year + years, index + 1, 1)


def round_money(amount: Fraction) -> Decimal:
    """`amount` to six decimals, half away from zero."""
    millionths = math.floor(abs(amount) * 10**6 + Fraction(1, 2))
    return Decimal(-millionths if amount < 0 else millionths).scaleb(-6)


def minor_digits(currency: str) -> int:
    """Decimals of the currency's minor unit by ISO 4217."""
    units = {0: WHOLE_UNITS, 3: THOUSANDTHS, 4: TEN_THOUSANDTHS}
    return next((digits for digits, names in units.items() if currency in names.split()), 2)


def ratio(numerator: Decimal | int, denominator: Decimal | int) -> float | None:
    """The quotient, or None where the denominator is zero."""
    return float(Fraction(numerator) / Fraction(denominator)) if denominator else None


def rescale_churn(rate: float, *, months: float, to_months: float) -> float:
    """A churn rate seen over `months`, restated for `to_months` at the same constant hazard."""
    kept: float = (1 - rate) ** (to_months / months)
    return 1 - kept


class Calendar:
    """Days of the reporting time zone as UTC instants, up to the end of the as-of day."""

    def __init__(self, zone: str, as_of: date) -> None:
        self._zone = ZoneInfo(zone)
        self.as_of = as_of
        self.end = self.starts(as_of + timedelta(days=1))

    def starts(self, day: date) -> datetime:
        local = datetime(day.year, day.month, day.day, tzinfo=self._zone)
        return local.astimezone(UTC).replace(tzinfo=None)

    def day(self, instant: datetime) -> date:
        return instant.replace(tzinfo=UTC).astimezone(self._zone).date()

    def month(self, instant: datetime) -> date:
        return self.day(instant).replace(day=1)

    def close(self, month: date) -> datetime:
        return min(self.starts(next_month(month)), self.end)

    def last_day(self, month: date) -> date:
        return min(next_month(month) - timedelta(days=1), self.as_of)

    def is_complete(self, month: date) -> bool:
        return next_month(month) <= self.as_of + timedelta(days=1)


class Rates:
    """Base currency per unit, by currency and day; what is dated after as-of is not known."""

    def __init__(self, rows: Iterable[Row], base: str, as_of: date) -> None:
        self._base = base
        self._known: dict[str, list[tuple[date, Fraction]]] = {}
        for row in rows:
            if row["rate_date"] <= as_of:
                known = self._known.setdefault(row["currency"], [])
                known.append((row["rate_date"], Fraction(row["base_per_unit"])))
                known.sort()

    def has(self, currency: str) -> bool:
        return currency == self._base or currency in self._known

    def on(self, currency: str, day: date) -> Fraction:
        """The newest rate on or before `day`, else the earliest there is."""
        if currency == self._base:
            return Fraction(1)
        known = self._known[currency]
        earlier = [rate for rate_date, rate in known if rate_date <= day]
        return earlier[-1] if earlier else known[0][1]


# ------------------------------------------------------------------------------------------- items


@dataclass(frozen=True)
class Item:
    """A subscription row as far as it earns: its cover and its monthly amount."""

    account_id: str
    subscription_id: str
    plan_tier: str | None
    started_at: datetime
    start: datetime
    end: datetime | None
    is_dunned: bool
    monthly: Fraction
    currency: str
    rate_day: date | None
    """The day whose rate holds for ever (constant), or None: each close has its own rate."""

    def covers(self, instant: datetime) -> bool:
        """Whether it is in force in the last moment before `instant`."""
        return self.start < instant and (self.end is None or self.end >= instant)

    def touches(self, start: datetime, end: datetime) -> bool:
        """Whether it is in force at any moment of [start, end)."""
        return self.start < end and (self.end is None or self.end > start)


def monthly_amount(row: Row, policies: Policies) -> Fraction:
    """The recurring amount of a month in major units of the row's own currency, exact."""
    price = Fraction(row["unit_amount_minor"]) / 10 ** minor_digits(row["currency"])
    discount = row["discount_percent"] if policies.discount_policy == "all" else None
    per_interval = row["quantity"] * price * (1 - Fraction(discount or 0) / 100)
    months = row["interval_count"] / MONTHS_PER_INTERVAL[row["billing_interval"]]
    return Fraction(per_interval / months)


def is_void(row: Row) -> bool:
    """Whether it is canceled without an end, and so never counts."""
    return row["status"] == "canceled" and row["ended_at"] is None


def recognised_ends(row: Row, world: World, policies: Policies) -> Iterator[datetime]:
    """Every instant that ends the row's service, grace for a failed payment aside."""
    if row["ended_at"] is not None:
        yield row["ended_at"]
    if policies.churn_recognition == "cancel_requested" and row["cancel_requested_at"] is not None:
        yield row["cancel_requested_at"]
    if policies.churn_recognition == "cancel_effective":
        for cancellation in world.cancellations:
            if (
                cancellation["account_id"] == row["account_id"]
                and cancellation["subscription_id"] in (None, row["subscription_id"])
                and (
                    cancellation["cancelled_at"] > row["started_at"]
                    or (
                        row["status"] == "canceled"
                        and cancellation["cancelled_at"] == row["started_at"]
                    )
                )
            ):
                yield cancellation["cancelled_at"]


def item_of(
    row: Row, world: World, policies: Policies, calendar: Calendar, first_start: datetime
) -> Item | None:
    """The row as an item, or None where it is never in force by the end of as-of."""
    if row["status"] == "paused" or is_void(row):
        return None
    start: datetime = row["started_at"]
    if policies.trial_policy == "exclude":
        if row["status"] == "trialing":
            return None
        start = max(start, row["trial_end_at"] or start)

    end = min(recognised_ends(row, world, policies), default=None)
    is_dunned = False
    if row["status"] == "past_due":
        overdue_since = row["past_due_since"] or row["started_at"]
        grace_end = overdue_since + timedelta(days=policies.past_due_grace_days)
        is_dunned = end is None or grace_end <= end
        end = grace_end if is_dunned else end
    if end is not None and end >= calendar.end:
        end, is_dunned = None, False
    if start >= (end or calendar.end):
        return None
    return Item(
        account_id=row["account_id"],
        subscription_id=row["subscription_id"],
        plan_tier=row["plan_tier"],
        started_at=row["started_at"],
        start=start,
        end=end,
        is_dunned=is_dunned,
        monthly=monthly_amount(row, policies),
        currency=row["currency"],
        rate_day=calendar.day(first_start) if policies.fx_policy == "constant" else None,
    )


def items_of(
    world: World, policies: Policies, calendar: Calendar, rates: Rates
) -> dict[str, list[Item]]:
    """The items of each account that has any."""
    known = [row for row in world.subscriptions if row["started_at"] < calendar.end]
    first_starts: dict[str, datetime] = {}
    for row in known:
        name, started_at = row["subscription_id"], row["started_at"]
        first_starts[name] = min(started_at, first_starts.get(name, started_at))

    items: dict[str, list[Item]] = {}
    for row in known:
        if rates.has(row["currency"]):
            first_start = first_starts[row["subscription_id"]]
            item = item_of(row, world, policies, calendar, first_start)
            if item is not None:
                items.setdefault(item.account_id, []).append(item)
    return items


# ------------------------------------------------------------------------------------------- books


@dataclass(frozen=True)
class State:
    """What an account pays for at a close, and whether it counts as a customer."""

    items: tuple[Item, ...] = ()
    is_customer: bool = False


@dataclass(frozen=True)
class Book:
    """A world under one set of policies: every account that ever paid, every month close."""

    world: World
    policies: Policies
    calendar: Calendar
    rates: Rates
    items: dict[str, list[Item]] = field(default_factory=dict)
    months: list[date] = field(default_factory=list)
    spells: dict[str, list[Cover]] = field(default_factory=dict)
    """Paid cover of each account, tolerated holes closed; an end of None is open at as-of."""
    states: dict[tuple[str, date], State] = field(default_factory=dict)
    slices: dict[str, dict[str, str]] = field(default_factory=dict)

    def value(self, item: Item, day: date) -> Decimal:
        """The item's MRR in the base currency, at the rate of `day` unless its rate is fixed."""
        return round_money(item.monthly * self.rates.on(item.currency, item.rate_day or day))

    def mrr(self, items: Iterable[Item], day: date) -> Decimal:
        return sum((self.value(item, day) for item in items), ZERO)

    def counted(self, items: Sequence[Item], day: date) -> tuple[Item, ...]:
        """Those of an account's concurrent items that make up its MRR."""
        if self.policies.account_mrr_policy == "sum" or not items:
            return tuple(items)
        return (max(items, key=lambda item: self.rank(item, day)),)

    def rank(self, item: Item, day: date) -> tuple[datetime, Decimal, str]:
        return item.started_at, self.value(item, day), item.subscription_id

    def in_force(self, account_id: str, instant: datetime) -> tuple[Item, ...]:
        """The items that make up the account's MRR in the last moment before `instant`."""
        covering = [item for item in self.items[account_id] if item.covers(instant)]
        return self.counted(covering, self.day_before(instant))

    def day_before(self, instant: datetime) -> date:
        return self.calendar.day(instant - timedelta(microseconds=1))

    def opening(self, account_id: str, month: date) -> State:
        return self.states.get((account_id, next_month(month, -1)), State())

    def closing(self, account_id: str, month: date) -> State:
        return self.states.get((account_id, month), State())

    def closing_mrr(self, account_id: str, month: date) -> Decimal:
        return self.mrr(self.closing(account_id, month).items, self.calendar.last_day(month))

    def sliced(self) -> Iterator[tuple[str, str, list[str]]]:
        """Every slice dimension and value with its accounts."""
        values = sorted({pair for slices in self.slices.values() for pair in slices.items()})
        for dimension, value in values:
            members = [name for name, own in self.slices.items() if own[dimension] == value]
            yield dimension, value, members


def keep_book(world: World, policies: Policies | None = None) -> Book:
    """Evaluate every account of `world` at every month close up to as-of."""
    policies = policies or Policies()
    calendar = Calendar(policies.reporting_timezone, world.as_of)
    rates = Rates(world.fx_rates, policies.base_currency, world.as_of)
    items = items_of(world, policies, calendar, rates)
    book = Book(world, policies, calendar, rates, items)

    paid = {name: paid_covers(book, name) for name in sorted(items)}
    paid = {name: covers for name, covers in paid.items() if covers}
    if not paid:
        return book
    month = calendar.month(min(covers[0][0] for covers in paid.values()))
    while month <= world.as_of:
        book.months.append(month)
        month = next_month(month)
    for name, covers in paid.items():
        holes = tolerated_holes(covers, policies.gap_tolerance_days)
        book.spells[name] = without_holes(covers, holes)
        for month in book.months:
            book.states[name, month] = state_at_close(book, name, month, holes)
        book.slices[name] = slices_of(book, name)
    return book


def paid_covers(book: Book, account_id: str) -> list[Cover]:
    """The maximal spans in which the account's MRR is above zero, in order."""
    items = book.items[account_id]
    instants = {book.calendar.end}
    for item in items:
        instants |= {item.start, item.end or book.calendar.end}
    steps = sorted(instants)
    covers: list[Cover] = []
    for start, end in pairwise(steps):
        if book.mrr(book.in_force(account_id, end), book.day_before(end)) <= 0:
            continue
        stop = end if end < book.calendar.end else None
        if covers and covers[-1][1] == start:
            covers[-1] = (covers[-1][0], stop)
        else:
            covers.append((start, stop))
    return covers


def tolerated_holes(covers: Sequence[Cover], days: int) -> list[tuple[datetime, datetime]]:
    """The holes between paid covers that are short enough to be a late renewal."""
    holes = []
    for (_, end), (start, _) in pairwise(covers):
        if end is not None and start - end <= timedelta(days=days):
            holes.append((end, start))
    return holes


def without_holes(covers: Sequence[Cover], holes: list[tuple[datetime, datetime]]) -> list[Cover]:
    spells: list[Cover] = []
    for start, end in covers:
        if spells and (spells[-1][1], start) in holes:
            spells[-1] = (spells[-1][0], end)
        else:
            spells.append((start, end))
    return spells


def state_at_close(
    book: Book, account_id: str, month: date, holes: list[tuple[datetime, datetime]]
) -> State:
    """The account at the close of `month`; a tolerated hole carries what was paid before it."""
    calendar = book.calendar
    close, day = calendar.close(month), calendar.last_day(month)
    if book.policies.mrr_snapshot == "any_time":
        last_rows: dict[str, Item] = {}
        for item in sorted(book.items[account_id], key=lambda item: item.started_at):
            if item.touches(calendar.starts(month), close):
                last_rows[item.subscription_id] = item
        found = book.counted(list(last_rows.values()), day)
    else:
        found = book.in_force(account_id, close)

    if book.mrr(found, day) > 0:
        return State(found, is_customer=True)
    for start, end in holes:
        if start < close <= end:
            return State(book.in_force(account_id, start), is_customer=True)
    stays_for_free = (
        book.policies.free_after_paid == "contraction"
        and any(start < close <= end for start, end in free_after_paid(book, account_id))
        and book.opening(account_id, month).is_customer
    )
    return State(found, is_customer=stays_for_free)


def free_after_paid(book: Book, account_id: str) -> Iterator[tuple[datetime, datetime]]:
    """Spans in which free cover goes on from paid time, and a short hole before it pays again."""
    instants = {item.start for item in book.items[account_id]}
    instants |= {item.end or book.calendar.end for item in book.items[account_id]}
    paid = paid_covers(book, account_id)
    for _, end in paid:
        if end is None:
            continue
        until = end
        for instant in sorted(instants):
            if instant > until and book.in_force(account_id, instant):
                until = instant
            elif instant > until:
                break
        again = min((start for start, _ in paid if start >= until), default=None)
        if (
            until > end
            and again
            and again - until <= timedelta(days=book.policies.gap_tolerance_days)
        ):
            until = again
        yield end, until


def slices_of(book: Book, account_id: str) -> dict[str, str]:
    """The account's slice values: attributes as of as-of, and the tier it pays (or last paid)."""
    attributes = next((row for row in book.world.accounts if row["account_id"] == account_id), None)
    slices = {"total": "all"}
    for name in SLICED_BY:
        slices[name] = (attributes[name] if attributes else None) or "unknown"

    as_of, end = book.calendar.as_of, book.calendar.end
    paid = [item for item in book.items[account_id] if book.value(item, as_of) > 0]
    newest = max(paid, key=lambda item: (item.end or end, *book.rank(item, as_of)))
    slices["plan_tier"] = newest.plan_tier or "unknown"
    return slices


# --------------------------------------------------------------------------------------- movements


@dataclass(frozen=True)
class Movement:
    """One account from one month close to the next; losses are positive."""

    opening: Decimal
    closing: Decimal
    fx: Decimal
    was_customer: bool
    is_customer: bool
    new: Decimal = ZERO
    reactivation: Decimal = ZERO
    expansion: Decimal = ZERO
    contraction: Decimal = ZERO
    churn: Decimal = ZERO

    @property
    def is_arrival(self) -> bool:
        return self.is_customer and not self.was_customer

    @property
    def is_loss(self) -> bool:
        return self.was_customer and not self.is_customer


def movement(book: Book, account_id: str, month: date) -> Movement:
    """What happened to the account in `month`, after its opening is revalued at the close."""
    before, after = book.opening(account_id, month), book.closing(account_id, month)
    day = book.calendar.last_day(month)
    opening = book.mrr(before.items, book.calendar.last_day(next_month(month, -1)))
    revalued = book.mrr(before.items, day)
    closing = book.mrr(after.items, day)
    moved: dict[str, Decimal] = {}
    if after.is_customer and not before.is_customer:
        returns = any(
            book.closing(account_id, earlier).is_customer
            for earlier in book.months
            if earlier < month
        )
        moved["reactivation" if returns else "new"] = closing
    elif before.is_customer and not after.is_customer:
        moved["churn"] = revalued
    elif closing > revalued:
        moved["expansion"] = closing - revalued
    elif closing < revalued:
        moved["contraction"] = revalued - closing
    return Movement(
        opening, closing, revalued - opening, before.is_customer, after.is_customer, **moved
    )


def grace_ends(book: Book, account_id: str) -> set[datetime]:
    """When the grace of each past-due row ran out; of one that began too late, when it began."""
    grace = timedelta(days=book.policies.past_due_grace_days)
    ends = {
        (
            row["ended_at"],
            max(row["started_at"], (row["past_due_since"] or row["started_at"]) + grace),
        )
        for row in book.world.subscriptions
        if row["account_id"] == account_id and row["status"] == "past_due"
    }
    return {out for ended_at, out in ends if ended_at is None or out <= ended_at}


def lost_spell(book: Book, account_id: str, month: date) -> tuple[datetime, datetime]:
    """Start and end of the paid spell of an account that churned in `month`."""
    opened, close = book.calendar.starts(month), book.calendar.close(month)
    ended = [(start, end) for start, end in book.spells[account_id] if end and end < close]
    return max(ended, key=lambda spell: (spell[0] < opened, spell[1]))


def tenure_days(book: Book, account_id: str, month: date) -> int:
    """How many days an account that churned in `month` had been paying."""
    start, end = lost_spell(book, account_id, month)
    return (book.calendar.day(end) - book.calendar.day(start)).days


def churn_kind(book: Book, account_id: str, month: date) -> str:
    """Why an account that churned in `month` left: voluntary, involuntary or unknown_reason.

    Dunning speaks first; else the newest cancellation of the lost spell, of the account as a whole
    or of a subscription that ended with it.
    """
    start, end = lost_spell(book, account_id, month)
    spells = book.spells[account_id]
    following = min((later for later, _ in spells if later > end), default=book.calendar.end)
    ended = [item for item in book.items[account_id] if item.end == end]
    if any(item.is_dunned for item in ended) or end in grace_ends(book, account_id):
        return "involuntary"
    concerned = {None, *(item.subscription_id for item in ended)}
    reasons = [
        (row["cancelled_at"], row["cancellation_id"], row["is_voluntary"])
        for row in book.world.cancellations
        if row["account_id"] == account_id
        and row["subscription_id"] in concerned
        and start <= row["cancelled_at"] < following
    ]
    is_voluntary = max(reasons)[2] if reasons else None
    return {True: "voluntary", False: "involuntary", None: "unknown_reason"}[is_voluntary]


# ------------------------------------------------------------------------------------------- marts


def account_months(book: Book) -> dict[tuple[str, date], Decimal]:
    """MRR at each close, by (account_id, first day of the month); zeros included."""
    return {key: book.closing_mrr(*key) for key in book.states}


def mrr_bridge(book: Book) -> list[dict[str, Any]]:
    """mart_mrr_bridge: one row per slice and month."""
    moved = {key: movement(book, *key) for key in book.states}
    rows = []
    for dimension, value, members in book.sliced():
        for month in book.months:
            moves = [moved[name, month] for name in members]
            new = sum((move.new for move in moves), ZERO)
            reactivation = sum((move.reactivation for move in moves), ZERO)
            expansion = sum((move.expansion for move in moves), ZERO)
            contraction = sum((move.contraction for move in moves), ZERO)
            churn = sum((move.churn for move in moves), ZERO)
            arrivals = sum(move.is_arrival for move in moves)
            returns = sum(move.is_arrival and move.reactivation > 0 for move in moves)
            rows.append(
                {
                    "period_start": month,
                    "period_end": next_month(month),
                    "slice_dimension": dimension,
                    "slice_value": value,
                    "opening_mrr": sum((move.opening for move in moves), ZERO),
                    "new_mrr": new,
                    "reactivation_mrr": reactivation,
                    "expansion_mrr": expansion,
                    "contraction_mrr": contraction,
                    "churned_mrr": churn,
                    "fx_mrr": sum((move.fx for move in moves), ZERO),
                    "closing_mrr": sum((move.closing for move in moves), ZERO),
                    "opening_accounts": sum(move.was_customer for move in moves),
                    "new_accounts": arrivals - returns,
                    "reactivated_accounts": returns,
                    "expanded_accounts": sum(move.expansion > 0 for move in moves),
                    "contracted_accounts": sum(move.contraction > 0 for move in moves),
                    "churned_accounts": sum(move.is_loss for move in moves),
                    "closing_accounts": sum(move.is_customer for move in moves),
                    "quick_ratio": ratio(new + expansion, contraction + churn),
                    "is_complete_period": book.calendar.is_complete(month),
                }
            )
    return rows


def churn_scoreboard(book: Book) -> list[dict[str, Any]]:
    """mart_churn_scoreboard without the rates that need usage: one row per slice and month.

    Revenue rates are measured on the opening MRR as revalued at the close, as the losses are.
    """
    members = {(dimension, value): names for dimension, value, names in book.sliced()}
    rows = []
    for bridge in mrr_bridge(book):
        month = bridge["period_start"]
        exposed = bridge["opening_mrr"] + bridge["fx_mrr"]
        lost = bridge["churned_mrr"] + bridge["contraction_mrr"]
        lost_accounts = [
            name
            for name in members[bridge["slice_dimension"], bridge["slice_value"]]
            if movement(book, name, month).is_loss
        ]
        kinds = [churn_kind(book, name, month) for name in lost_accounts]
        tenures = [tenure_days(book, name, month) for name in lost_accounts]
        churn = ratio(bridge["churned_accounts"], bridge["opening_accounts"])
        days = (book.calendar.last_day(month) - month).days + 1
        rows.append(
            {
                "period_start": month,
                "slice_dimension": bridge["slice_dimension"],
                "slice_value": bridge["slice_value"],
                "logo_churn_rate": churn,
                "gross_revenue_churn_rate": ratio(lost, exposed),
                "net_revenue_churn_rate": ratio(lost - bridge["expansion_mrr"], exposed),
                "voluntary_churned_accounts": kinds.count("voluntary"),
                "involuntary_churned_accounts": kinds.count("involuntary"),
                "unknown_reason_churned_accounts": kinds.count("unknown_reason"),
                "early_churned_accounts": sum(tenure < EARLY_DAYS for tenure in tenures),
                "late_churned_accounts": sum(tenure >= EARLY_DAYS for tenure in tenures),
                "day_scaled_logo_churn_rate": None
                if churn is None
                else rescale_churn(churn, months=days, to_months=365 / 12),
                "is_complete_period": bridge["is_complete_period"],
            }
        )
    return rows


def retention_nrr_grr(book: Book, windows: Sequence[int] = (1, 3, 12)) -> list[dict[str, Any]]:
    """mart_retention_nrr_grr: one row per slice, closing month and window.

    The opening is the cohort's MRR `window_months` earlier, revalued at the closing month's rate.
    """
    rows = []
    for dimension, value, members in book.sliced():
        for month in book.months:
            for window in windows:
                origin = next_month(month, -window)
                cohort = [name for name in members if book.closing(name, origin).is_customer]
                day = book.calendar.last_day(month)
                then = [book.mrr(book.closing(name, origin).items, day) for name in cohort]
                now = [book.closing_mrr(name, month) for name in cohort]
                kept = [min(pair) for pair in zip(then, now, strict=True)]
                retained = sum(book.closing(name, month).is_customer for name in cohort)
                # Who was a customer at every close in between did not leave and come back.
                between = [m for m in book.months if origin < m <= month]
                stayed = [
                    all(book.closing(name, m).is_customer for m in between) for name in cohort
                ]
                opening = sum(then, ZERO)
                reason = None if opening else "no_opening_mrr"
                rows.append(
                    {
                        "period_start": month,
                        "slice_dimension": dimension,
                        "slice_value": value,
                        "window_months": window,
                        "cohort_accounts": len(cohort),
                        "retained_accounts": retained,
                        "opening_mrr": opening,
                        "closing_mrr_of_cohort": sum(now, ZERO),
                        "nrr": ratio(sum(now, ZERO), opening),
                        "grr": ratio(sum(kept, ZERO), opening),
                        "logo_retention_rate": ratio(retained, len(cohort)),
                        "nrr_without_reactivation": ratio(
                            sum((m for m, stays in zip(now, stayed, strict=True) if stays), ZERO),
                            opening,
                        ),
                        "grr_without_reactivation": ratio(
                            sum((m for m, stays in zip(kept, stayed, strict=True) if stays), ZERO),
                            opening,
                        ),
                        "logo_retention_without_reactivation_rate": ratio(sum(stayed), len(cohort)),
                        "is_small_sample": len(cohort) < book.policies.min_cohort_customers,
                        "reason_null": (
                            "insufficient_history" if origin < book.months[0] else reason
                        ),
                    }
                )
    return rows


def cohort_retention(book: Book) -> list[dict[str, Any]]:
    """mart_cohort_retention: one row per cohort month, complete month since, and basis."""
    closes = account_months(book)
    paying: dict[str, dict[date, Decimal]] = {}
    for (name, month), mrr in closes.items():
        if mrr > 0:
            paying.setdefault(name, {})[month] = mrr
    logos = {
        name: {month: 1 for month in book.months if book.closing(name, month).is_customer}
        for name in paying
    }

    ordering: dict[str, dict[date, int]] = {}
    for row in book.world.orders:
        if row["status"] in ("placed", "completed") and row["ordered_at"] < book.calendar.end:
            months = ordering.setdefault(row["account_id"], {})
            months[book.calendar.month(row["ordered_at"])] = 1

    cells = [
        *triangle(book.calendar, "logo", logos),
        *triangle(book.calendar, "mrr", paying),
        *triangle(book.calendar, "orders", ordering),
    ]
    for cell in cells:
        alike = [c for c in cells if all(c[k] == cell[k] for k in ("basis", "age_months"))]
        cell["average_retention_rate"] = ratio(
            sum(c["value"] for c in alike), sum(c["cohort_size"] for c in alike)
        )
    return cells


def triangle(
    calendar: Calendar, basis: str, values: Mapping[str, Mapping[date, Any]]
) -> Iterator[dict[str, Any]]:
    """The cohort cells of one basis: each account belongs to its first month with a value."""
    cohorts: dict[date, list[Mapping[date, Any]]] = {}
    for months in values.values():
        cohorts.setdefault(min(months), []).append(months)
    for start, members in sorted(cohorts.items()):
        size = sum(months[start] for months in members)
        month, age, before = start, 0, 0
        while calendar.is_complete(month):
            value = sum(months.get(month, 0) for months in members)
            yield {
                "cohort_start": start,
                "age_months": age,
                "basis": basis,
                "cohort_size": size,
                "value": value,
                "retention_rate": ratio(value, size),
                "retention_from_previous_rate": ratio(value, before),
                "is_mature": True,
            }
            month, age, before = next_month(month), age + 1, value


def portfolio_growth(book: Book) -> list[dict[str, Any]]:
    """mart_portfolio_growth: one row per slice and month."""
    nrr = {
        (row["slice_dimension"], row["slice_value"], row["period_start"]): row["nrr"]
        for row in retention_nrr_grr(book, windows=(1,))
    }
    bridge = mrr_bridge(book)
    closes = {
        (row["slice_dimension"], row["slice_value"], row["period_start"]): row["closing_mrr"]
        for row in bridge
    }
    rows = []
    members = {(dimension, value): names for dimension, value, names in book.sliced()}
    for row in bridge:
        slice_of_row = (row["slice_dimension"], row["slice_value"])
        month = row["period_start"]
        nrr_1m = nrr[*slice_of_row, month]
        growth = ratio(row["closing_mrr"] - row["opening_mrr"], row["opening_mrr"])
        year_ago = closes.get((*slice_of_row, next_month(month, -12)), ZERO)
        yearly = ratio(row["closing_mrr"], year_ago)
        rows.append(
            {
                "period_start": month,
                "slice_dimension": row["slice_dimension"],
                "slice_value": row["slice_value"],
                "installed_base_growth_rate": None if nrr_1m is None else nrr_1m - 1,
                "total_growth_rate": growth,
                "cmgr_12": None if yearly is None else yearly ** (1 / 12) - 1,
                "arpa": ratio(row["closing_mrr"], row["closing_accounts"]),
                "closing_accounts": row["closing_accounts"],
                "revenue_concentration": ratio(
                    sum(
                        sorted(book.closing_mrr(n, month) for n in members[slice_of_row])[-LARGEST:]
                    ),
                    row["closing_mrr"],
                ),
            }
        )
    return rows


def logo_survival(book: Book) -> list[dict[str, Any]]:
    """mart_survival_curve, subject logo: first spells, aged in days of the reporting time zone.

    A spell that is open at as-of is censored at its age on the as-of day.
    """
    rows = []
    for dimension, value, members in book.sliced():
        lives = []
        for name in members:
            start, end = book.spells[name][0]
            last_day = book.calendar.as_of if end is None else book.calendar.day(end)
            lives.append(((last_day - book.calendar.day(start)).days, end is not None))
        for row in kaplan_meier(lives):
            rows.append(
                {"subject": "logo", "slice_dimension": dimension, "slice_value": value, **row}
            )
    return rows


def kaplan_meier(lives: Iterable[tuple[int, bool]]) -> list[dict[str, Any]]:
    """The product-limit curve at every observed age, with Greenwood's 95 % band cut to [0, 1].

    `lives` are (age_days, whether the event happened then); who is censored at an age is still at
    risk at it. Each row has the ages at which the curve has fallen to a half and to a quarter, None
    where it has not, and the mean age of the events. The band is None once the curve is zero, where
    its variance is undefined.
    """
    ages: dict[int, list[bool]] = {}
    for age, is_event in lives:
        ages.setdefault(age, []).append(is_event)
    at_risk = sum(len(outcomes) for outcomes in ages.values())
    survival, variance = Fraction(1), Fraction(0)
    summary: dict[str, float | None] = dict.fromkeys(("median_days", "p75_days", "naive_mean_days"))
    days = [age for age, outcomes in ages.items() for is_event in outcomes if is_event]
    if days:
        summary["naive_mean_days"] = sum(days) / len(days)
    rows: list[dict[str, Any]] = []
    for age, outcomes in sorted(ages.items()):
        events = sum(outcomes)
        survival *= 1 - Fraction(events, at_risk)
        for name, left in (("median_days", Fraction(1, 2)), ("p75_days", Fraction(1, 4))):
            if summary[name] is None and survival <= left:
                summary[name] = age
        low: float | None = None
        high: float | None = None
        if survival:
            variance += Fraction(events, at_risk * (at_risk - events))
            margin = 1.96 * float(survival) * math.sqrt(variance)
            low, high = max(0.0, float(survival) - margin), min(1.0, float(survival) + margin)
        rows.append(
            {
                "age_days": age,
                "at_risk": at_risk,
                "events": events,
                "censored": len(outcomes) - events,
                "survival": float(survival),
                "ci_low": low,
                "ci_high": high,
            }
        )
        at_risk -= len(outcomes)
    return [row | summary for row in rows]


MARTS: dict[str, Callable[[Book], list[dict[str, Any]]]] = {
    "mart_mrr_bridge": mrr_bridge,
    "mart_churn_scoreboard": churn_scoreboard,
    "mart_retention_nrr_grr": retention_nrr_grr,
    "mart_cohort_retention": cohort_retention,
    "mart_portfolio_growth": portfolio_growth,
    "mart_survival_curve": logo_survival,
}
