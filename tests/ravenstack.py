"""RavenStack's published CSV files as rows of the canonical exports, by the csv module alone.

Belongs here: the mapping that EXPORTS writes down, for the tests. Does not belong here: a number.
The files are found through the environment variable REFERENCE_DATA.
"""

from __future__ import annotations

import csv
import gzip
import os
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import rows
from oracle import World

AS_OF = date(2024, 12, 31)
"""The last day that any of the files mentions."""


def folder() -> Path | None:
    """Where the files stand, or None where REFERENCE_DATA does not name them."""
    path = Path(os.environ.get("REFERENCE_DATA", "")) / "ravenstack"
    return path if path.is_absolute() and path.is_dir() else None


def read(name: str) -> list[dict[str, str]]:
    """The rows of ravenstack_<name>.csv.gz as text."""
    path = folder()
    if path is None:
        raise FileNotFoundError("REFERENCE_DATA names no folder that holds ravenstack")
    with gzip.open(path / f"ravenstack_{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def raw(name: str) -> list[dict[str, str | None]]:
    """The same rows with empty cells as null, as the raw layer holds them."""
    return [{column: cell or None for column, cell in row.items()} for row in read(name)]


def midnight(text: str) -> datetime:
    return datetime.fromisoformat(text)


def account(row: dict[str, str]) -> dict[str, Any]:
    return rows.raw_row(
        "crm__accounts",
        account_id=row["account_id"],
        account_name=row["account_name"],
        segment=row["industry"],
        industry=row["industry"],
        country=row["country"] or None,
        signed_up_at=midnight(row["signup_date"]),
        acquisition_channel=row["referral_source"] or None,
    )


def subscription(row: dict[str, str]) -> dict[str, Any]:
    """One row; the price of a seat is an exact fraction of a cent, so that seats x price = MRR."""
    end = row["end_date"]
    return rows.subscription(
        row["subscription_id"],
        midnight(row["start_date"]),
        midnight(end) + timedelta(days=1) if end else None,
        account_id=row["account_id"],
        plan_id=row["plan_tier"],
        plan_tier=row["plan_tier"],
        status="trialing" if row["is_trial"] == "True" else "active",
        quantity=int(row["seats"]),
        unit_amount_minor=Fraction(100 * int(row["mrr_amount"]), int(row["seats"])),
    )


def world(as_of: date = AS_OF) -> World:
    """Accounts and subscriptions as a snapshot that landed on `as_of`."""
    return World(
        as_of=as_of,
        accounts=[account(row) for row in read("accounts")],
        subscriptions=[subscription(row) for row in read("subscriptions")],
    )
