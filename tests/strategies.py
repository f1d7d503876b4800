"""Random small worlds for Hypothesis, valid by the contracts of the exports.

Belongs here: worlds with the awkward cases in them, and random policies. Does not belong here: an
expectation. Instants fall on midnights most of the time, because that is where closes tie.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from oracle import Policies, World
from rows import account, cancellation, order, rate, subscription

FIRST_DAY = date(2023, 11, 28)
CURRENCIES = ["USD", "USD", "USD", "EUR", "EUR", "JPY", "KWD", "CLF", "XAU"]
"""XAU never has a rate."""
RATES = {
    "EUR": ["1.05", "1.1", "1.123456"],
    "JPY": ["0.0067", "0.0071"],
    "KWD": ["3.25", "3.3"],
    "CLF": ["38.5", "39.25"],
}
STATUSES = ["active", "active", "active", "active", "trialing", "past_due", "paused", "canceled"]
GAPS = [timedelta(0)] * 5 + [
    timedelta(days=3),
    timedelta(days=7),
    timedelta(days=7, hours=1),
    timedelta(days=8),
    timedelta(days=40),
]


def hours() -> st.SearchStrategy[timedelta]:
    return st.sampled_from([0, 0, 0, 5, 23]).map(lambda count: timedelta(hours=count))


def instants() -> st.SearchStrategy[datetime]:
    start = datetime.combine(FIRST_DAY, datetime.min.time())
    days = st.one_of(st.integers(0, 120), st.sampled_from([3, 34, 65, 94, 200]))
    return st.builds(lambda day, hour: start + timedelta(days=day) + hour, days, hours())


@st.composite
def subscription_rows(
    draw: st.DrawFn, subscription_id: str, account_id: str
) -> list[dict[str, Any]]:
    """The successive rows of one subscription: changes of price and status, and gaps."""
    rows: list[dict[str, Any]] = []
    currency = draw(st.sampled_from(CURRENCIES))
    start = draw(instants())
    for _ in range(draw(st.integers(1, 4))):
        length = timedelta(days=draw(st.sampled_from([1, 4, 14, 28, 31, 45, 90]))) + draw(hours())
        end = start + length
        status = draw(st.sampled_from(STATUSES))
        rows.append(
            subscription(
                subscription_id,
                start,
                end,
                account_id=account_id,
                status=status,
                plan_tier=draw(st.sampled_from(["basic", "pro", None])),
                trial_end_at=start + length / 2 if draw(st.integers(0, 5)) == 0 else None,
                cancel_requested_at=end - length / 3 if draw(st.integers(0, 5)) == 0 else None,
                past_due_since=(
                    start - timedelta(days=draw(st.sampled_from([0, 2, 29, 31])))
                    if status == "past_due" and draw(st.booleans())
                    else None
                ),
                currency=currency,
                quantity=draw(st.sampled_from([1, 1, 2, 3, 0])),
                unit_amount_minor=draw(st.sampled_from([1000, 1000, 999, 3333, 120_000, 1, 0])),
                discount_percent=draw(
                    st.sampled_from([None, None, None, *map(Decimal, ["0", "33.333", "100"])])
                ),
                billing_interval=draw(st.sampled_from(["month", "month", "year", "week", "day"])),
                interval_count=draw(st.sampled_from([1, 1, 1, 3])),
            )
        )
        start = end + draw(st.sampled_from(GAPS))
    if draw(st.booleans()):
        rows[-1]["ended_at"] = None
    return rows


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A world of at most five accounts over about nine months, seen from a day within them.

    It holds trials, upgrades, overlaps, gaps of about 7 days, past_due, paused and canceled rows,
    discounts, currencies with and without rates, lives within one month, accounts absent from the
    accounts export, null attributes, and rows dated after as-of.
    """
    as_of = draw(
        st.one_of(
            st.sampled_from([date(2024, 6, 30), date(2024, 2, 29), date(2024, 3, 31)]),
            st.dates(date(2024, 1, 1), date(2024, 8, 31)),
        )
    )
    names = [f"A{index}" for index in range(1, draw(st.integers(1, 5)) + 1)]
    subscriptions: list[dict[str, Any]] = []
    for name in names:
        for index in range(draw(st.sampled_from([1, 1, 2, 3, 0]))):
            subscriptions += draw(subscription_rows(f"S-{name}-{index}", name))
    accounts = [
        account(
            name,
            segment=draw(st.sampled_from(["small", "large"])),
            country=draw(st.sampled_from(["DE", "US", None])),
            acquisition_channel=draw(st.sampled_from(["ads", None])),
        )
        for name in names
        if draw(st.integers(0, 4))
    ]
    cancellations = [
        cancellation(
            (row["ended_at"] or row["started_at"])
            + timedelta(days=draw(st.sampled_from([-12, -1, 0, 0, 2]))),
            row["account_id"],
            cancellation_id=f"C{index}",
            subscription_id=draw(st.sampled_from([None, row["subscription_id"]])),
            is_voluntary=draw(st.sampled_from([True, False, None])),
        )
        for index, row in enumerate(subscriptions)
        if draw(st.booleans())
    ]
    fx_rates = [
        rate(day, currency, draw(st.sampled_from(values)))
        for currency, values in RATES.items()
        for day in sorted(
            draw(st.sets(st.dates(FIRST_DAY, date(2024, 8, 31)), min_size=1, max_size=5))
        )
    ]
    orders = [
        order(
            f"O{index}",
            draw(instants()),
            account_id=draw(st.sampled_from(names)),
            status=draw(st.sampled_from(["placed", "completed", "completed", "cancelled"])),
        )
        for index in range(draw(st.integers(0, 6)))
    ]
    return World(as_of, subscriptions, accounts, cancellations, fx_rates, orders)


def policies() -> st.SearchStrategy[Policies]:
    """Any combination of the policies that change a revenue number."""
    return st.builds(
        Policies,
        account_mrr_policy=st.sampled_from(["sum", "latest_start"]),
        trial_policy=st.sampled_from(["exclude", "include"]),
        mrr_snapshot=st.sampled_from(["period_end", "any_time"]),
        past_due_grace_days=st.sampled_from([30, 0, 10]),
        gap_tolerance_days=st.sampled_from([7, 0, 45]),
        discount_policy=st.sampled_from(["all", "none"]),
        free_after_paid=st.sampled_from(["churn", "contraction"]),
        fx_policy=st.sampled_from(["constant", "period_end"]),
        churn_recognition=st.sampled_from(["service_end", "cancel_effective", "cancel_requested"]),
        reporting_timezone=st.sampled_from(["UTC", "America/New_York", "Asia/Tokyo"]),
    )
