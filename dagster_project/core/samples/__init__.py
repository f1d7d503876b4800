"""Deterministic sample exports: an invented software company, at any size.

The world is simulated account by account, as facts that each have the day from which an exporter
knows them; a landing day is then a cut through the facts. `accounts` tells who the customers are
and what they pay, `activity` what people do and say, `events` how the product is used, `delivery`
how all of it lands.

Not here: reading exports and enforcing contracts (core/exports.py). Nothing here reads a clock:
equal arguments give equal bytes.
"""

from datetime import date, timedelta
from pathlib import Path

from dagster_project.core.samples import accounts as customers
from dagster_project.core.samples import activity
from dagster_project.core.samples.delivery import SHAPES, Facts, Row, Span, write_export
from dagster_project.core.samples.events import usage_phases, write_events

__all__ = ["generate"]


def generate(
    landing: Path,
    *,
    accounts: int = 200,
    days: int = 14,
    last_day: date = date(2025, 6, 30),
    history_months: int = 18,
    seed: int = 7,
    events_per_account: int = 800,
) -> int:
    """Write every canonical export for `days` landing days that end with `last_day`.

    The first landing day holds all history, which begins `history_months` before it.
    `events_per_account` is the mean; few accounts hold most of the events. Files of the same days
    are replaced, other files are left alone. Returns the number of files written. Raises ValueError
    for fewer than one account or day.
    """
    if accounts < 1 or days < 1:
        raise ValueError(f"samples need at least one account and one day, not {accounts}, {days}")
    first_day = last_day - timedelta(days - 1)
    span = Span(first_day - timedelta(30 * history_months), first_day, last_day)
    facts = Facts(span)
    usage: list[Row] = []
    for account in customers.cast(seed, accounts, span):
        rows = customers.subscription_rows(account)
        customers.crm(facts, account)
        customers.subscriptions(facts, account, rows)
        customers.cancellations(facts, account, rows)
        customers.invoices(facts, account, rows, span)
        activity.tickets(facts, account, rows, span)
        activity.surveys(facts, account, span)
        activity.orders(facts, account, span)
        activity.touchpoints(facts, account, span)
        usage += usage_phases(account, rows, span)
        if account.number % 1000 == 999:
            facts.pack()
    activity.fx_rates(facts, span, seed)
    activity.mentions(facts, span, seed, accounts)
    facts.pack()
    files = sum(write_export(landing, export, facts.table(export), span) for export in SHAPES)
    return files + write_events(landing, usage, span, seed, accounts * events_per_account)
