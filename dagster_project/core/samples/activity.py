"""What the sample customers' people do and say outside the product, and the world around them.

Here: tickets, surveys, orders, contacts; exchange rates and mentions, which belong to no account.
Product events, of which there are too many for Python rows, lie in events.py.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from random import Random

from dagster_project.core.samples.accounts import COMPETITORS, Account, moment
from dagster_project.core.samples.delivery import Facts, Row, Span

SCALES = {"nps": (0, 10), "ces": (1, 7), "csat": (1, 5)}  # first and last answer
SURVEY_GAP_DAYS = {"nps": 60, "ces": 150, "csat": 90}  # mean time between two invitations
FX = {"EUR": 1.08, "GBP": 1.27, "JPY": 0.0067}  # USD per unit at the beginning


def days_between(rng: Random, start: date, end: date, gap_days: float) -> Iterator[date]:
    """Days at random from `start` to `end`, both included, `gap_days` apart in the mean."""
    day = start + timedelta(rng.expovariate(1 / gap_days))
    while day <= end:
        yield day
        day += timedelta(max(1.0, rng.expovariate(1 / gap_days)))


def answer(rng: Random, low: int, high: int, mood: float) -> int:
    """An answer of a scale that leans with the mood."""
    scale = range(low, high + 1)
    lean = [0.05 + (1 - abs(mood - step / (len(scale) - 1))) ** 4 for step in range(len(scale))]
    return rng.choices(scale, lean)[0]


def tickets(facts: Facts, account: Account, rows: list[Row], span: Span) -> None:
    """Tickets and each of their changes; a few accounts ask before they have signed up."""
    rng = account.rng("tickets")
    start = account.signed_up_at.date() - timedelta(5 if account.number % 41 == 40 else 0)
    ends = [(row.get("ended_at") or datetime.max).date() for row in rows]
    end = min(max(ends, default=date.max), span.last_day)
    for index, day in enumerate(days_between(rng, start, end, 20 + 60 * account.mood)):
        created_at = moment(day, rng)
        replied_at = created_at + timedelta(hours=rng.expovariate(1 / 6))
        solved_at = replied_at + timedelta(hours=rng.expovariate(1 / 40))
        changes: list[tuple[datetime, Row]] = [
            (replied_at, {"status": "open", "first_replied_at": replied_at, "reopen_count": 0}),
            (solved_at, {"status": "solved", "solved_at": solved_at}),
        ]
        if rng.random() < 0.1:
            reopened_at, solved_at = solved_at + timedelta(1), solved_at + timedelta(3)
            reopened = {"status": "open", "solved_at": None, "reopen_count": 1}
            changes.append((reopened_at, reopened))
            changes.append((solved_at, {"status": "solved", "solved_at": solved_at}))
        if rng.random() < 0.4:
            rating = {
                "satisfaction_score": answer(rng, 1, 5, account.mood),
                "satisfaction_comment": rng.choice((None, "Quick, thanks", "Took too long")),
            }
            changes.append((solved_at + timedelta(hours=20), rating))
        if account.number % 43 == 42 and index == 1:  # an exporter with a clock of its own
            before = created_at - timedelta(hours=1)
            changes[0][1]["first_replied_at"] = changes[1][1]["solved_at"] = before
        # Some were never answered, others answered but never solved.
        changes = changes[: rng.choices((0, 1, None), (5, 5, 90))[0]]
        ticket: Row = {
            "ticket_id": f"tic-{account.number:06d}-{index}",
            "account_id": account.account_id if rng.random() < 0.97 else None,
            # "follow_the_sun" is in no seed: such a ticket is measured by the default calendar.
            "calendar": rng.choices(("default", "europe", None, "follow_the_sun"), (60, 20, 18, 2))[
                0
            ],
            "requester_user_id": rng.choice((account.user(0), account.user(1), None)),
            "created_at": created_at,
            "status": "new",
            "priority": rng.choice(("low", "normal", "normal", "high", "urgent", None)),
            "channel": rng.choice(("email", "chat", "phone", None)),
            "is_escalated": rng.choices((False, True, None), (88, 8, 4))[0],
        }
        for at, change in [(created_at, Row()), *changes]:
            ticket |= change | {"updated_at": at}
            facts.add("support/tickets", at, ticket)


def surveys(facts: Facts, account: Account, span: Span) -> None:
    """Invitations and answers: repeated, anonymous, blank, tests, and one above the scale for "no
    answer"."""
    rng = account.rng("surveys")
    for survey, (low, high) in SCALES.items():
        gap_days = SURVEY_GAP_DAYS[survey]
        days = days_between(rng, account.starts_at.date(), span.last_day, gap_days)
        for index, day in enumerate(days):
            sent_at = moment(day, rng)
            number = f"{survey}-{account.number:06d}-{index}"
            asked = {
                "survey_type": survey,
                "respondent_id": account.user(rng.randrange(account.users)),
                "account_id": account.account_id if rng.random() < 0.97 else None,
                "sent_at": sent_at,
            }
            facts.add("surveys/invitations", sent_at, asked | {"invitation_id": f"ivt-{number}"})
            if rng.random() < 0.06:
                asked |= {"respondent_id": None, "account_id": None}
            for repeat in range(rng.choices((0, 1, 2), (55, 39, 6))[0]):
                at = sent_at + timedelta(5 * repeat, seconds=rng.randrange(60, 4 * 86_400))
                score = answer(rng, low, high, account.mood)
                response = asked | {
                    "response_id": f"res-{number}-{repeat}",
                    "responded_at": at,
                    "score": rng.choices((score, high + 1, None), (94, 4, 2))[0],
                    "comment": rng.choice((None, None, 'Does, "mostly"', "Too\nslow")),
                    "channel": rng.choice(("email", "in_app", None)),
                    "sent_at": sent_at if rng.random() < 0.9 else None,
                    "is_test": rng.choices((False, None, True), (60, 38, 2))[0],
                }
                facts.add("surveys/responses", at, response)


def orders(facts: Facts, account: Account, span: Span) -> None:
    """Orders from the company's shop; two accounts in five never order."""
    rng = account.rng("orders")
    if rng.random() < 0.4:
        return
    days = days_between(rng, account.starts_at.date(), span.last_day, rng.uniform(20, 120))
    for index, day in enumerate(days):
        at = moment(day, rng)
        order = {
            "order_id": f"ord-{account.number:06d}-{index}",
            "account_id": account.account_id,
            "ordered_at": at,
            "amount_minor": round(rng.paretovariate(1.5) * 4000),
            "currency": account.currency,
        }
        fate = rng.choices(("completed", "cancelled", "refunded"), (90, 6, 4))[0]
        before = ("placed", "completed") if fate == "refunded" else ("placed",)
        for status in (*before, fate):
            facts.add("orders/orders", at, order | {"status": status, "updated_at": at})
            at += timedelta(rng.randrange(1, 12), seconds=rng.randrange(3600))


def touchpoints(facts: Facts, account: Account, span: Span) -> None:
    rng = account.rng("touchpoints")
    days = days_between(rng, account.signed_up_at.date(), span.last_day, 18)
    for index, day in enumerate(days):
        at = moment(day, rng)
        is_email = rng.random() < 0.6
        is_automated = is_email and rng.random() < 0.4
        is_inbound = not is_automated and rng.random() < 0.4
        sentiment = min(1.0, max(-1.0, 2 * account.mood - 1 + rng.gauss(0, 0.2)))
        touchpoint = {
            "touchpoint_id": f"tou-{account.number:06d}-{index}",
            "account_id": account.account_id,
            "user_id": account.user(0) if rng.random() < 0.8 else None,
            "kind": "email" if is_email else rng.choice(("call", "meeting")),
            "direction": "inbound" if is_inbound else "outbound",
            "occurred_at": at,
            "duration_seconds": None if is_email else float(rng.randrange(120, 3600)),
            "thread_id": f"thr-{account.number:06d}-{index // 3}" if is_email else None,
            "is_automated": is_automated if rng.random() < 0.95 else None,
            "sentiment": round(sentiment, 2) if is_inbound else None,
            "subject": "Your weekly summary" if is_automated else rng.choice(("Renewal", None)),
        }
        facts.add("communications/touchpoints", at, touchpoint)
        if account.number % 31 == 30 and index == 0:  # a call noted under an account that never was
            stranger = {
                "touchpoint_id": f"{touchpoint['touchpoint_id']}-x",
                "account_id": "acc-none",
            }
            facts.add("communications/touchpoints", at, touchpoint | stranger)


def fx_rates(facts: Facts, span: Span, seed: int) -> None:
    """Random walks: a rate a day, but for the yen only one on the first of each month."""
    for currency, rate in FX.items():
        rng = Random(f"{seed}/fx/{currency}")
        # The rate on or before the first start must exist, and some start before the span.
        first = span.start.replace(day=1) - timedelta(31)
        for offset in range((span.last_day - first).days + 1):
            day = first + timedelta(offset)
            rate *= 1 + rng.gauss(0, 0.003)
            if currency != "JPY" or day.day == 1:
                row = {"rate_date": day, "currency": currency, "base_per_unit": f"{rate:.8f}"}
                facts.add("billing/fx_rates", datetime.combine(day, time(17)), row)


def mentions(facts: Facts, span: Span, seed: int, accounts: int) -> None:
    rng = Random(f"{seed}/mentions")
    words = {"positive": "Love it", "neutral": "It exists", "negative": 'So-so, "at best",\nreally'}
    for index, day in enumerate(days_between(rng, span.start, span.last_day, 1.2)):
        at = moment(day, rng)
        brand = rng.choices(("Examplify", *COMPETITORS), (5, 3, 2))[0]
        sentiment = rng.choice(("positive", "positive", "neutral", "negative", None))
        is_review = rng.random() < 0.4
        mention = {
            "mention_id": f"men-{index:06d}",
            "source": "review_site" if is_review else rng.choice(("forum", "social")),
            "published_at": at,
            "topic": "own" if brand == "Examplify" else "competitor",
            "brand": brand,
            "text": words[sentiment] if sentiment else None,
            "rating": float(rng.randint(1, 5)) + (5 if index % 97 == 96 else 0)
            if is_review
            else None,
            # Some sites forget their scale, and some stars are more than there are.
            "rating_max": (0.0 if index % 89 == 88 else 5.0) if is_review else None,
            "sentiment": sentiment,
            "account_id": f"acc-{rng.randrange(accounts):06d}" if rng.random() < 0.3 else None,
            "url": f"https://example.com/reviews/{index}" if is_review else None,
        }
        facts.add("listening/mentions", at, mention)
