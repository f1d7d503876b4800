"""Two shops' real orders, read with the standard library (Parquet aside).

Belongs here: what an order is in each set, and the survival curve by lifelines. Does not belong
here: the code under test.
"""

import gzip
import os
from collections import defaultdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
from lifelines import KaplanMeierFitter  # type: ignore[import-untyped]
from lifelines.utils import qth_survival_time  # type: ignore[import-untyped]

# customer -> order id -> instant
Orders = dict[str, dict[str, datetime]]


def folder(name: str) -> Path:
    return Path(os.environ["REFERENCE_DATA"]) / name


def cdnow() -> tuple[Orders, date]:
    """An order is a customer's day; the file is complete to the end of June 1998."""
    orders: Orders = defaultdict(dict)
    with gzip.open(folder("cdnow") / "CDNOW_sample.txt.gz", "rt", encoding="ascii") as lines:
        for line in lines:
            customer, _, day, _, _ = line.split()
            orders[customer][f"{customer}-{day}"] = datetime.strptime(day, "%Y%m%d")
    return orders, date(1998, 6, 30)


def online_retail() -> tuple[Orders, date]:
    """An order is an invoice, at its first line; lines without a customer carry a 0."""
    path = folder("online_retail") / "online_retail_2010_2011_sales_only.parquet"
    lines = pl.read_parquet(path, columns=["CustomerID", "InvoiceNo", "InvoiceDate"]).rows()
    orders: Orders = defaultdict(dict)
    for customer, invoice, text in lines:
        if customer:
            at = datetime.fromisoformat(text)
            placed = orders[str(int(customer))]
            placed[str(invoice)] = min(at, placed.get(str(invoice), at))
    return orders, date(2011, 12, 9)


def share_reached(orders: Orders, nth: int, end: date, day: int) -> float:
    """The share of customers with `nth` orders by `day` days after their first, by lifelines."""
    return 1 - float(_curve(orders, nth, end).predict(day))


def days_until_share(orders: Orders, nth: int, end: date, share: float) -> float:
    """The day by which that share of customers has `nth` orders, by lifelines; inf if never."""
    return float(qth_survival_time(1 - share, _curve(orders, nth, end).survival_function_))


def _curve(orders: Orders, nth: int, end: date) -> Any:
    durations, is_event = [], []
    for placed in orders.values():
        days = sorted(at.date() for at in placed.values())
        is_event.append(len(days) >= nth)
        durations.append(((days[nth - 1] if is_event[-1] else end) - days[0]).days)
    return KaplanMeierFitter().fit(durations, is_event)
