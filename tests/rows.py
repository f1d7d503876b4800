"""Rows of the exports: what a test does not say is null, or what the factory of the export has.

Belongs here: the columns of the contracts, and factories of rows that more than one file fills in.
Does not belong here: an expectation.
"""

from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

STAGING = Path(__file__).resolve().parents[1] / "dbt" / "models" / "staging"
TYPES = {"text": "varchar", "decimal": "decimal(28, 12)"}
Row = dict[str, Any]


@cache
def contracts() -> dict[str, dict[str, str]]:
    """Columns and types of every raw table, by system__export."""
    tables = {}
    for path in STAGING.glob("*/_sources.yml"):
        [source] = yaml.safe_load(path.read_text())["sources"]
        for table in source["tables"]:
            columns = {
                column["name"]: TYPES.get(column["data_type"], column["data_type"])
                for column in table["columns"]
            }
            tables[f"{source['name']}__{table['name']}"] = columns
    return tables


def raw_row(table: str, /, **values: Any) -> Row:
    """A row of any export, with nulls for what is not named; it may name its landing_date."""
    columns = contracts()[table]
    unknown = values.keys() - columns.keys() - {"landing_date"}
    assert not unknown, f"{table} has no {unknown}"
    return dict.fromkeys(columns) | values


def at(when: date | datetime | None, hour: int = 0) -> datetime | None:
    """An instant as it is; a date as this hour of it."""
    if when is None or isinstance(when, datetime):
        return when
    return datetime.combine(when, time(hour))


def account(account_id: str, **columns: Any) -> Row:
    known = {
        "account_id": account_id,
        "account_name": f"Company {account_id}",
        "segment": "mid",
        "country": "DE",
        "signed_up_at": datetime(2023, 1, 1),
        "acquisition_channel": "ads",
    }
    return raw_row("crm__accounts", **known | columns)


def subscription(
    subscription_id: str,
    start: date | datetime,
    end: date | datetime | None = None,
    *,
    amount: int = 100,
    account_id: str = "A",
    **columns: Any,
) -> Row:
    """An active monthly row in USD at `amount` major units; `columns` override any column."""
    known = {
        "subscription_id": subscription_id,
        "account_id": account_id,
        "plan_id": "plan",
        "plan_tier": "basic",
        "status": "active",
        "started_at": at(start),
        "ended_at": at(end),
        "currency": "USD",
        "quantity": 1,
        "unit_amount_minor": amount * 100,
        "billing_interval": "month",
        "interval_count": 1,
    }
    return raw_row("billing__subscriptions", **known | columns)


def cancellation(cancelled: date | datetime, account_id: str = "A", **columns: Any) -> Row:
    known = {
        "cancellation_id": f"C-{account_id}-{cancelled.isoformat()}",
        "account_id": account_id,
        "cancelled_at": at(cancelled),
    }
    return raw_row("billing__cancellations", **known | columns)


def rate(day: date, currency: str, base_per_unit: str) -> Row:
    known = {"rate_date": day, "currency": currency, "base_per_unit": Decimal(base_per_unit)}
    return raw_row("billing__fx_rates", **known)


def order(order_id: str, ordered: date | datetime, **columns: Any) -> Row:
    """A completed order of account A, of 10 USD."""
    known = {
        "order_id": order_id,
        "account_id": "A",
        "ordered_at": at(ordered),
        "amount_minor": 1000,
        "currency": "USD",
        "status": "completed",
    }
    return raw_row("orders__orders", **known | columns)


def user(user_id: str, account_id: str = "A", **columns: Any) -> Row:
    known = {"user_id": user_id, "account_id": account_id, "created_at": datetime(2024, 1, 1)}
    return raw_row("crm__users", **known | columns)


def event(event_id: str, occurred: date | datetime, **columns: Any) -> Row:
    """A click of user u1 of account A, without session, feature or duration."""
    known = {
        "event_id": event_id,
        "account_id": "A",
        "user_id": "u1",
        "event_name": "click",
        "occurred_at": at(occurred, 12),
    }
    return raw_row("product__events", **known | columns)


def ticket(ticket_id: str, created: date | datetime, **columns: Any) -> Row:
    """A new ticket of account A, with nothing done about it."""
    known = {"ticket_id": ticket_id, "account_id": "A", "created_at": at(created), "status": "new"}
    return raw_row("support__tickets", **known | columns)


def touch(
    touchpoint_id: str, occurred: date | datetime, account_id: str = "A", **columns: Any
) -> Row:
    """An inbound e-mail without a thread."""
    known = {
        "touchpoint_id": touchpoint_id,
        "account_id": account_id,
        "kind": "email",
        "direction": "inbound",
        "occurred_at": at(occurred, 12),
    }
    return raw_row("communications__touchpoints", **known | columns)


def mention(mention_id: str, published: date | datetime = date(2024, 4, 1), **columns: Any) -> Row:
    """A word about the own brand in a forum."""
    known = {
        "mention_id": mention_id,
        "source": "forum",
        "published_at": at(published, 12),
        "topic": "own",
        "brand": "Us",
    }
    return raw_row("listening__mentions", **known | columns)


def ledger_line(export: str, day: date, seq: int = 1, **columns: Any) -> Row:
    """The line of a landing day of system/export that was extracted."""
    system, name = export.split("/")
    known = {
        "seq": seq,
        "system": system,
        "export": name,
        "landing_date": day,
        "status": "ok",
        "files": 1,
        "rows_rejected": 0,
        "rows_superseded": 0,
        "drift": [],
    }
    return raw_row("lake__extractions", **known | columns)
