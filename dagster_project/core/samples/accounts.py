"""Who the sample customers are and what they pay: each account lives one declared story.

Here: CRM, people and billing. What an account's people do lies in activity.py and events.py.
"""

from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random

from dagster_project.core.samples.delivery import Facts, Row, Span


@dataclass(frozen=True)
class Story:
    """What becomes of `weight` accounts in each cycle: changes, each so many days after the start.

    A change on day 0 describes the first subscription row. Accounts sign up early enough to live
    their story, unless `age` says how many days before the last day they start.
    """

    weight: int
    steps: tuple[tuple[int, str], ...] = ()
    age: int | None = None


STORIES = {
    "steady": Story(16),
    "seats_up": Story(5, ((90, "seats_up"), (200, "seats_up"))),
    "seats_down": Story(2, ((150, "seats_down"),)),
    "price_up": Story(2, ((120, "price_up"),)),
    "price_down": Story(1, ((120, "price_down"),)),
    "plan_change": Story(3, ((100, "next_plan"),)),
    "add_on": Story(2, ((60, "add_on"), (240, "drop_add_on"))),
    "add_on_kept": Story(1, ((45, "add_on"),)),
    "introductory_discount": Story(2, ((0, "discount"), (90, "full_price"))),
    "free_months": Story(1, ((0, "free"), (60, "full_price"))),
    "free_after_paid": Story(1, ((150, "free"),)),
    "pause": Story(2, ((100, "pause"), (150, "resume"))),
    "dunning_recovered": Story(2, ((110, "fail_payment"), (122, "recover"))),
    "dunning_churn": Story(2, ((110, "fail_payment"), (165, "write_off"))),
    "past_due_now": Story(1, ((60, "fail_payment"),), age=72),
    "churn_early": Story(3, ((75, "cancel"),)),
    "churn": Story(4, ((190, "cancel"),)),
    "cancel_requested": Story(1, ((60, "request_cancel"),), age=85),
    "return": Story(2, ((110, "cancel"), (260, "return"))),
    "late_renewal": Story(2, ((70, "lapse"), (75, "renew_late"))),
    "brief_life": Story(2, ((12, "cancel"),)),
    "trial_converted": Story(2, ((0, "trial"), (14, "convert"))),
    "trial_inside_row": Story(1, ((0, "trial_until"),)),
    "trial_lost": Story(2, ((0, "trial"), (14, "cancel"))),
    "trial_running": Story(1, ((0, "trial"),), age=6),
    "trial_not_paid": Story(1, ((0, "trial"), (14, "fail_payment"), (50, "write_off"))),
    "term_renewed": Story(2, ((0, "term"), (180, "renew_dearer"), (360, "renew"))),
    "term_upgraded": Story(1, ((0, "term"), (180, "renew_next_plan"))),
    "term_downsold": Story(1, ((0, "term"), (180, "renew_fewer_seats"))),
    "term_lost": Story(1, ((0, "term"), (180, "cancel"))),
    "term_awaited": Story(1, ((0, "term"), (180, "run_out")), age=183),
    "term_running": Story(1, ((0, "term"),), age=160),
    "future_start": Story(1, age=-21),
    "unknown_to_crm": Story(1),
    "prospect": Story(1),
}

# What came of the mid-market investment of dbt/seeds/investments.csv: steady accounts take a
# quarter more seats on each of these days. Nothing came of the others.
INVESTED_SEGMENT = "mid_market"
INVESTMENT_PAYS_OFF = (date(2025, 1, 15), date(2025, 2, 15), date(2025, 3, 15))

SEGMENTS = {"smb": (2, 12), "mid_market": (10, 60), "enterprise": (50, 400)}  # seats from, to
TIERS = {"starter": 15, "growth": 35, "scale": 60}  # list price per seat and month (USD)
COUNTRIES = {"US": "USD", "CA": "USD", "GB": "GBP", "DE": "EUR", "FR": "EUR", "JP": "JPY"}
INTERVALS = [("month", 1)] * 14 + [("year", 1)] * 4 + [("month", 3), ("week", 1), ("day", 1)]
MONTHS_CHARGED = {"day": 1 / 30, "week": 0.25, "month": 1.0, "year": 10.0}
HALF_YEAR, YEAR = 180, 365  # lengths of a contract's term (days)
INTERVAL_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
CSMS = [f"csm.{name}@example.com" for name in ("aardvark", "badger", "caracal", "dodo")]
COMPETITORS = ("Contrivia", "Placeholdr")
REASONS = ("price", "missing_feature", "competitor", "budget", "no_longer_needed", None)


@dataclass(frozen=True)
class Account:
    seed: int
    number: int
    story: str
    segment: str
    country: str | None
    tier: str
    seats: int
    mood: float  # 0 = complains about everything, 1 = delighted
    signed_up_at: datetime
    starts_at: datetime

    @property
    def account_id(self) -> str:
        return f"acc-{self.number:06d}"

    @property
    def currency(self) -> str:
        return COUNTRIES[self.country] if self.country else "USD"

    @property
    def users(self) -> int:
        return min(self.seats, 25)

    def user(self, index: int) -> str:
        return f"usr-{self.number:06d}-{index}"

    def rng(self, purpose: str) -> Random:
        """A stream of its own per purpose: a change to one export leaves the others alone."""
        return Random(f"{self.seed}/{self.number}/{purpose}")


def moment(day: date, rng: Random) -> datetime:
    """A time within the working hours of a day."""
    return datetime.combine(day, time(8)) + timedelta(seconds=rng.randrange(10 * 3600))


def cast(seed: int, count: int, span: Span) -> Iterator[Account]:
    """`count` accounts; in each cycle of them every story is lived as often as it weighs."""
    cycle = [name for name, story in STORIES.items() for _ in range(story.weight)]
    Random(seed).shuffle(cycle)
    for number in range(count):
        yield make_account(seed, number, cycle[number % len(cycle)], span)


def make_account(seed: int, number: int, story: str, span: Span) -> Account:
    rng = Random(f"{seed}/{number}")
    age, steps = STORIES[story].age, STORIES[story].steps
    lifetime = age if age is not None else max((days for days, _ in steps), default=0) * 1.2
    latest = max(span.start, span.last_day - timedelta(lifetime))
    # The square root lets the company grow: more accounts sign up late than early.
    share = 1.0 if age is not None else rng.random() ** 0.5
    start = span.start + timedelta(int((latest - span.start).days * share))
    if story in ("brief_life", "late_renewal"):  # both are about where a month ends
        start = start.replace(day=3)
    starts_at = datetime.combine(start, time(0)) if rng.random() < 0.5 else moment(start, rng)
    signed_up_at = starts_at - timedelta(rng.choice((0, 0, 1, 5)), seconds=rng.randrange(3600))
    segment = rng.choices(list(SEGMENTS), (6, 3, 1))[0]
    return Account(
        seed=seed,
        number=number,
        story=story,
        segment=segment,
        country=rng.choices([*COUNTRIES, None], (34, 6, 18, 18, 10, 10, 4))[0],
        tier=rng.choices(list(TIERS), (5, 4, 2))[0],
        seats=rng.randint(*SEGMENTS[segment]),
        mood=max(0.0, rng.betavariate(5, 2) - (0.35 if "churn" in story else 0.0)),
        signed_up_at=min(signed_up_at, moment(span.last_day - timedelta(9), rng))
        if story == "future_start"
        else signed_up_at,
        starts_at=starts_at,
    )


def list_price_minor(tier: str, row: Row) -> int:
    """Price of a seat and interval (minor units; the yen has none, so it is its own minor unit)."""
    months: float = MONTHS_CHARGED[row["billing_interval"]] * row["interval_count"]
    return round(TIERS[tier] * months * (150 if row["currency"] == "JPY" else 100))


def last_day_of_term(start: datetime, days: int) -> date:
    return (start + timedelta(days, microseconds=-1)).date()


def next_plan(row: Row) -> Row:
    # After the last tier comes the first again, so that plans change in both directions.
    tiers = list(TIERS)
    tier = tiers[(tiers.index(row["plan_tier"]) + 1) % len(tiers)]
    return {"plan_tier": tier, "unit_amount_minor": list_price_minor(tier, row)}


# What a change writes into the row that it opens.
CHANGES: dict[str, Callable[[Row], Row]] = {
    "seats_up": lambda row: {"quantity": row["quantity"] + max(1, row["quantity"] // 4)},
    "seats_down": lambda row: {"quantity": max(1, row["quantity"] * 2 // 3)},
    "price_up": lambda row: {"unit_amount_minor": row["unit_amount_minor"] * 112 // 100},
    "price_down": lambda row: {"unit_amount_minor": row["unit_amount_minor"] * 9 // 10},
    "next_plan": next_plan,
    "discount": lambda _: {"discount_percent": "25"},
    "free": lambda _: {"discount_percent": "100"},
    "full_price": lambda _: {"discount_percent": None},
    "pause": lambda _: {"status": "paused"},
    "resume": lambda _: {"status": "active"},
    "fail_payment": lambda row: {"status": "past_due", "past_due_since": row["started_at"]},
    "recover": lambda _: {"status": "active", "past_due_since": None},
    "trial_until": lambda row: {"trial_end_at": row["started_at"] + timedelta(14)},
    "trial": lambda row: {**CHANGES["trial_until"](row), "status": "trialing"},
    "convert": lambda _: {"status": "active"},
    "term": lambda row: {"term_end_date": last_day_of_term(row["started_at"], HALF_YEAR)},
    "renew": lambda row: CHANGES["term"](row),
    "renew_dearer": lambda row: CHANGES["price_up"](row) | CHANGES["term"](row),
    "renew_next_plan": lambda row: next_plan(row) | CHANGES["term"](row),
    "renew_fewer_seats": lambda row: CHANGES["seats_down"](row) | CHANGES["term"](row),
}


def subscription_rows(account: Account) -> list[Row]:
    """The account's rows of billing/subscriptions as they end up, in the order of their story.

    `status` is that before any cancellation; `booked_at` is when the row became known.
    """
    if account.story == "prospect":
        return []
    rng = account.rng("subscriptions")
    interval, count = rng.choice(INTERVALS)
    row: Row = {
        "account_id": account.account_id,
        "subscription_id": f"sub-{account.number:06d}-1",
        "status": "active",
        "plan_tier": account.tier,
        "started_at": account.starts_at,
        "booked_at": account.signed_up_at,
        "currency": account.currency,
        "quantity": account.seats,
        "discount_percent": rng.choice((None, None, "0", "10", "12.5")),
        "billing_interval": interval,
        "interval_count": count,
        "is_cancelled": False,
    }
    row["unit_amount_minor"] = list_price_minor(account.tier, row)
    steps = STORIES[account.story].steps
    has_term = (0, "term") in steps
    rows = [row]
    # One factor for the whole story keeps its steps in order; a term is as long as it is.
    stretch = rng.uniform(0.85, 1.15)
    for days, change in steps:
        is_exact = has_term or days <= 14
        at = account.starts_at + timedelta(days if is_exact else round(days * stretch))
        row = rows[-1]
        opened = {**row, "started_at": at, "booked_at": at, "is_cancelled": False}
        match change:
            case _ if days == 0:
                row |= CHANGES[change](row)
            case "cancel":
                asked_at = max(row["started_at"], at - timedelta(rng.choice((0, 4, 9))))
                row |= {"ended_at": at, "cancel_requested_at": asked_at, "is_cancelled": True}
            case "write_off" | "drop_add_on":
                row |= {"ended_at": at, "is_cancelled": True}
            case "run_out":
                row |= {"ended_at": at}
            case "request_cancel":
                row |= {"cancel_requested_at": at}
            case "lapse":
                month_end = at.replace(day=monthrange(at.year, at.month)[1])
                row |= {"ended_at": month_end - timedelta(1)}
            case "renew_late":
                back_at = row["ended_at"] + timedelta(4)
                rows.append({**opened, "started_at": back_at, "booked_at": back_at})
                rows[-1]["ended_at"] = None
            case "return":
                rows.append({**opened, "ended_at": None, "cancel_requested_at": None})
                rows[-1]["subscription_id"] = f"sub-{account.number:06d}-2"
            case "add_on":
                rows.append({**opened, "plan_tier": "add_on", "quantity": 1})
                rows[-1]["subscription_id"] = f"sub-{account.number:06d}-2"
            case _:
                row |= {"ended_at": at}
                rows.append(opened | CHANGES[change](opened))
    if account.story == "steady" and account.segment == INVESTED_SEGMENT:
        for day in INVESTMENT_PAYS_OFF:
            at, row = datetime.combine(day, time(9)), rows[-1]
            if row["started_at"] < at:
                row["ended_at"] = at
                more = row["quantity"] + max(1, row["quantity"] // 4)
                rows.append(row | {"started_at": at, "booked_at": at, "quantity": more})
                del rows[-1]["ended_at"]
    if interval == "year" and not has_term:
        rows = [term for row in rows for term in yearly_terms(row, account.starts_at)]
    return rows


def yearly_terms(row: Row, starts_at: datetime) -> list[Row]:
    """A row of a yearly contract, cut where one year ends and the next begins at the same price."""
    terms = [row]
    for year in range(1, 8):
        renewed_at = starts_at + timedelta(YEAR * year)
        row = terms[-1]
        if renewed_at <= row["started_at"]:
            continue
        row["term_end_date"] = last_day_of_term(renewed_at, 0)
        asked_at = row.get("cancel_requested_at") or datetime.max
        if min(row.get("ended_at") or datetime.max, asked_at) <= renewed_at:
            break
        terms.append({**row, "started_at": renewed_at, "booked_at": renewed_at})
        row |= {"ended_at": renewed_at, "cancel_requested_at": None, "is_cancelled": False}
    return terms


def subscriptions(facts: Facts, account: Account, rows: list[Row]) -> None:
    """Each row as it was opened, as its cancellation was asked for, and as it was closed."""
    later = ("ended_at", "cancel_requested_at")
    for final in rows:
        row = {name: value for name, value in final.items() if name not in later}
        row["plan_id"] = f"{row['plan_tier']}-{row['billing_interval']}"
        if account.number % 53 == 52:
            row["plan_tier"] = None
        facts.add("billing/subscriptions", row["booked_at"], row | {"updated_at": row["booked_at"]})
        if asked_at := final.get("cancel_requested_at"):
            row |= {"cancel_requested_at": asked_at, "updated_at": asked_at}
            facts.add("billing/subscriptions", asked_at, row)
        if ended_at := final.get("ended_at"):
            status = "canceled" if row["is_cancelled"] else row["status"]
            row |= {"ended_at": ended_at, "status": status, "updated_at": ended_at}
            facts.add("billing/subscriptions", ended_at, row)


def cancellations(facts: Facts, account: Account, rows: list[Row]) -> None:
    rng = account.rng("cancellations")
    for row in rows:
        if not row["is_cancelled"]:
            continue
        is_dunning = row["status"] == "past_due"
        reason = "payment_failed" if is_dunning else rng.choice(REASONS)
        cancellation = {
            "cancellation_id": f"can-{row['subscription_id'][4:]}",
            "account_id": account.account_id,
            "subscription_id": row["subscription_id"] if rng.random() < 0.9 else None,
            "cancelled_at": row["ended_at"],
            "reason_code": reason,
            "competitor": rng.choice(COMPETITORS) if reason == "competitor" else None,
            "is_voluntary": False if is_dunning else rng.choice((True, True, True, None)),
            "comment": rng.choice((None, 'They said "too dear",\nand hung up.', "Never used it")),
        }
        facts.add("billing/cancellations", row["ended_at"], cancellation)


def invoices(facts: Facts, account: Account, rows: list[Row], span: Span) -> None:
    rng = account.rng("invoices")
    for row in rows:
        ended_at = row.get("ended_at") or datetime.max
        until = min(ended_at, datetime.combine(span.last_day, time.max))
        step = timedelta(INTERVAL_DAYS[row["billing_interval"]] * row["interval_count"])
        share = 1 - float(row["discount_percent"] or 0) / 100
        amount = round(row["quantity"] * row["unit_amount_minor"] * share)
        issued_at = row.get("trial_end_at") or row["started_at"]
        issued_at = max(issued_at, row["started_at"])
        while row["status"] in ("active", "past_due") and amount and issued_at < until:
            invoice = {
                "invoice_id": f"inv-{row['subscription_id'][4:]}-{issued_at:%Y%m%d}",
                "account_id": account.account_id,
                "subscription_id": row["subscription_id"] if rng.random() < 0.97 else None,
                "issued_at": issued_at,
                "due_at": issued_at + timedelta(14) if rng.random() < 0.97 else None,
                "amount_minor": amount,
                "tax_minor": amount // 10 if account.currency != "USD" else None,
                "currency": account.currency,
                "status": "open",
                "updated_at": issued_at,
            }
            facts.add("billing/invoices", issued_at, invoice)
            status = rng.choices(("paid", "void", "refunded"), (96, 2, 2))[0]
            at = issued_at + timedelta(rng.randrange(1, 20), seconds=rng.randrange(3600))
            if row["status"] == "past_due":
                status = "uncollectible" if row["is_cancelled"] else "paid"
                at = min(ended_at, issued_at + timedelta(90))
            paid_at = None if status in ("void", "uncollectible") else at
            facts.add(
                "billing/invoices",
                at,
                invoice | {"paid_at": paid_at, "status": status, "updated_at": at},
            )
            issued_at += step


def crm(facts: Facts, account: Account) -> None:
    """The account, who looks after it, its users and what it wants to achieve."""
    if account.story == "unknown_to_crm":
        return
    rng = account.rng("crm")
    signed_up_at = account.signed_up_at
    profile: Row = {
        "account_id": account.account_id,
        "account_name": f"Imaginary Company {account.number}, Inc.",
        "parent_account_id": f"acc-{account.number - 7:06d}" if account.number % 23 == 22 else None,
        "segment": account.segment,
        "industry": rng.choice(("retail", "health", "logistics", "media", None)),
        "country": account.country,
        "employee_count": rng.choice((None, 3, 9, 30)) and account.seats * rng.randint(3, 30),
        "csm_owner": rng.choice([*CSMS * 5, None]),
        "signed_up_at": signed_up_at,
        "contract_start_date": account.starts_at.date() if rng.random() < 0.95 else None,
        "acquisition_channel": rng.choice(("organic", "organic", "paid_search", "partner", None)),
        "use_case": rng.choice(("reporting", "planning", "monitoring", None)),
    }
    facts.add("crm/accounts", signed_up_at, profile)
    owner = profile["csm_owner"] or CSMS[0]
    first = {"account_id": account.account_id, "csm_owner": owner, "assigned_at": signed_up_at}
    facts.add("people/csm_assignments", signed_up_at, first)
    if rng.random() < 0.2:
        at = moment(signed_up_at.date() + timedelta(rng.randrange(20, 400)), rng)
        next_owner = CSMS[(CSMS.index(owner) + 1) % len(CSMS)]
        facts.add("people/csm_assignments", at, first | {"ended_at": at})
        second = first | {"csm_owner": next_owner, "assigned_at": at}
        facts.add("people/csm_assignments", at, second)
        facts.add("crm/accounts", at, profile | {"csm_owner": next_owner})
    for index in range(account.users):
        created_at = signed_up_at + timedelta(rng.randrange(90) if index else 0)
        user = {
            "user_id": account.user(index),
            "account_id": account.account_id,
            "role": rng.choice(("admin", "analyst", "viewer", None)),
            "is_champion": index == 0 if rng.random() < 0.95 else None,
            "created_at": created_at,
        }
        facts.add("crm/users", created_at, user)
        if rng.random() < 0.08:
            left_at = moment(created_at.date() + timedelta(rng.randrange(60, 500)), rng)
            facts.add("crm/users", left_at, user | {"deactivated_at": left_at})
    for index in range(rng.choice((0, 1, 1, 2))):
        due_date = account.starts_at.date() + timedelta(rng.choice((60, 90, 180)))
        outcome = {
            "outcome_id": f"out-{account.number:06d}-{index}",
            "account_id": account.account_id,
            "stated_outcome": rng.choice(("Close the books faster", "One report for everybody")),
            "due_date": due_date if rng.random() < 0.8 else None,
            "value_minor": rng.choice((None, 2_500_000, 9_000_000)),
        }
        facts.add("crm/desired_outcomes", signed_up_at, outcome)
        if rng.random() < account.mood:
            at = moment(due_date - timedelta(rng.randrange(-40, 50)), rng)
            achieved = outcome | {"achieved_at": at, "evidence": "Said so in a review"}
            facts.add("crm/desired_outcomes", at, achieved)
