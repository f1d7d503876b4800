"""How the sample exports land: their shapes, the facts behind them, planted defects, the files.

A snapshot holds the newest version of each fact on its day, an append export the newest version of
what became known since its last delivery. What the facts say is decided elsewhere.
"""

import gzip
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

Row = dict[str, Any]

TYPES: dict[str, pl.DataType] = {
    "text": pl.String(),
    "int": pl.Int64(),
    "double": pl.Float64(),
    "bool": pl.Boolean(),
    "date": pl.Date(),
    "time": pl.Datetime("us"),
}
# Timestamps are UTC; CSV says so by leaving the zone out, as the contract's default.
CSV_TIME = "%Y-%m-%d %H:%M:%S"
JSON_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Span:
    """From the first possible sign-up to the last landing day, all days included."""

    start: date
    first_day: date
    last_day: date

    @property
    def landing_days(self) -> list[date]:
        days = (self.last_day - self.first_day).days + 1
        return [self.first_day + timedelta(day) for day in range(days)]


@dataclass(frozen=True)
class Shape:
    """How one export is delivered; `key` and `columns` are lists of words, columns `name:type`."""

    kind: str
    extension: str
    key: str
    columns: str
    parts: int = 1

    @property
    def schema(self) -> dict[str, pl.DataType]:
        named = (column.partition(":") for column in self.columns.split())
        return {name: TYPES[kind or "text"] for name, _, kind in named}


SHAPES = {
    "crm/accounts": Shape(
        "snapshot",
        "csv",
        "account_id",
        "account_id account_name parent_account_id segment industry country employee_count:int"
        " csm_owner signed_up_at:time contract_start_date:date acquisition_channel use_case",
    ),
    "crm/users": Shape(
        "snapshot",
        "csv.gz",
        "user_id",
        "user_id account_id role is_champion:bool created_at:time deactivated_at:time",
    ),
    "crm/desired_outcomes": Shape(
        "snapshot",
        "jsonl",
        "outcome_id",
        "outcome_id account_id stated_outcome due_date:date achieved_at:time evidence"
        " value_minor:int",
    ),
    "billing/subscriptions": Shape(
        "snapshot",
        "csv",
        "subscription_id started_at",
        "subscription_id account_id plan_id plan_tier status started_at:time ended_at:time"
        " trial_end_at:time cancel_requested_at:time past_due_since:time term_end_date:date"
        " currency quantity:int unit_amount_minor:int discount_percent billing_interval"
        " interval_count:int updated_at:time",
    ),
    "billing/invoices": Shape(
        "append",
        "csv.gz",
        "invoice_id",
        "invoice_id account_id subscription_id issued_at:time due_at:time paid_at:time"
        " amount_minor:int tax_minor:int currency status updated_at:time",
        parts=2,
    ),
    "billing/cancellations": Shape(
        "append",
        "csv",
        "cancellation_id",
        "cancellation_id account_id subscription_id cancelled_at:time reason_code competitor"
        " is_voluntary:bool comment",
    ),
    "billing/fx_rates": Shape(
        "append", "csv", "currency rate_date", "rate_date:date currency base_per_unit"
    ),
    "support/tickets": Shape(
        "append",
        "jsonl.gz",
        "ticket_id",
        "ticket_id account_id calendar requester_user_id created_at:time first_replied_at:time"
        " solved_at:time status priority channel is_escalated:bool reopen_count:int"
        " satisfaction_score:int satisfaction_comment updated_at:time",
    ),
    "surveys/responses": Shape(
        "append",
        "csv.gz",
        "response_id",
        "response_id survey_type respondent_id account_id sent_at:time responded_at:time"
        " score:int comment channel is_test:bool",
    ),
    "surveys/invitations": Shape(
        "append",
        "jsonl",
        "invitation_id",
        "invitation_id survey_type respondent_id account_id sent_at:time",
    ),
    "orders/orders": Shape(
        "append",
        "parquet",
        "order_id",
        "order_id account_id ordered_at:time amount_minor:int currency status updated_at:time",
    ),
    "communications/touchpoints": Shape(
        "append",
        "jsonl.gz",
        "touchpoint_id",
        "touchpoint_id account_id user_id kind direction occurred_at:time duration_seconds:double"
        " thread_id is_automated:bool sentiment:double subject",
        parts=2,
    ),
    "listening/mentions": Shape(
        "append",
        "csv",
        "mention_id",
        "mention_id source published_at:time topic brand text rating:double rating_max:double"
        " sentiment account_id url",
    ),
    "people/csm_assignments": Shape(
        "snapshot",
        "csv",
        "account_id assigned_at",
        "account_id csm_owner assigned_at:time ended_at:time",
    ),
}

LATE_EVERY = 29  # each such row of an append export lands two days after it became known
MISSED = "support/tickets"  # skips the middle landing day; the next delivery catches up

# Planted on every third delivery that is large enough: changes to a copy of a row under a key of
# its own, so that no fact is lost to them. An empty change delivers the row itself a second time.
DEFECTS: dict[str, list[Row]] = {
    "crm/users": [{"account_id": None}],
    "billing/subscriptions": [{"unit_amount_minor": "twelve"}, {"status": "expired"}],
    "billing/invoices": [{"amount_minor": "n/a"}, {"issued_at": None}, {}],
    "billing/fx_rates": [{"base_per_unit": "unknown"}],
    "support/tickets": [{"created_at": None}, {}],
    "surveys/responses": [{"score": "ten"}],
    "communications/touchpoints": [{"kind": "pigeon"}, {}],
    "listening/mentions": [{"topic": "weather"}],
}
# A key of its own delivered twice, with this difference.
CONFLICTS: dict[str, Row] = {
    "billing/cancellations": {"reason_code": "changed_mind"},
    "communications/touchpoints": {"subject": "Conflicting copy"},
}


class Facts:
    """Versions of the rows of all exports but events, with the day each one became known."""

    def __init__(self, span: Span) -> None:
        self._last_day = span.last_day
        self._rows: dict[str, list[Row]] = {export: [] for export in SHAPES}
        self._frames: dict[str, list[pl.DataFrame]] = {export: [] for export in SHAPES}
        self._added = dict.fromkeys(SHAPES, 0)

    def add(self, export: str, known_at: datetime, row: Row) -> None:
        self._added[export] += 1
        is_late = SHAPES[export].kind == "append" and self._added[export] % LATE_EVERY == 0
        known_on = known_at.date() + timedelta(2 if is_late else 0)
        if known_on <= self._last_day:
            self._rows[export].append({**row, "known_on": known_on})

    def pack(self) -> None:
        """Turn the rows so far into columns, which take a tenth of their memory."""
        for export, rows in self._rows.items():
            schema = {**SHAPES[export].schema, "known_on": pl.Date()}
            self._frames[export].append(pl.DataFrame(rows, schema=schema, orient="row"))
            rows.clear()

    def table(self, export: str) -> pl.DataFrame:
        return pl.concat(self._frames[export])


def write_export(landing: Path, export: str, table: pl.DataFrame, span: Span) -> int:
    """Write one export for each landing day; returns the number of files."""
    shape = SHAPES[export]
    days = span.landing_days
    missed = days[len(days) // 2] if export == MISSED and len(days) > 2 else None
    since = date.min
    files = 0
    for index, day in enumerate(days):
        if day == missed:
            continue
        rows = (
            table.filter(pl.col("known_on").is_between(since, day, closed="right"))
            .unique(shape.key.split(), keep="last", maintain_order=True)
            .drop("known_on")
        )
        bad = defects(export, rows) if index % 3 == 0 else text_of(rows.clear())
        files += write_day(landing / export, day, shape, rows, bad)
        if shape.kind == "append":
            since = day
    return files


def defects(export: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Bad rows as text, fewer than one to fifteen good ones."""
    key = SHAPES[export].key.split()[0]
    changes = DEFECTS.get(export, [])
    count = len(changes) + 2 * (export in CONFLICTS)
    text = text_of(rows.head(7 * count))
    if len(rows) < 15 * count:
        return text.clear()
    planted: list[Row] = []
    for index, change in enumerate(changes):
        row = text.row(7 * index, named=True)
        planted.append({**row, key: f"{row[key]}-bad", **change} if change else row)
    if export in CONFLICTS:
        row = text.row(7 * len(changes), named=True)
        row[key] = f"{row[key]}-twice"
        planted += [row, {**row, **CONFLICTS[export]}]
    return pl.DataFrame(planted, schema=text.schema, orient="row")


def text_of(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col(pl.Datetime).dt.strftime(CSV_TIME)).cast(pl.String)


def write_day(folder: Path, day: date, shape: Shape, rows: pl.DataFrame, bad: pl.DataFrame) -> int:
    """Write one landing day as a file or a folder of parts, bad rows in the last; returns files."""
    folder.mkdir(parents=True, exist_ok=True)
    if shape.parts == 1:
        write_file(folder / f"{day}.{shape.extension}", rows, bad)
        return 1
    (folder / f"{day}").mkdir(exist_ok=True)
    size = -(-len(rows) // shape.parts)
    for part in range(shape.parts):
        path = folder / f"{day}" / f"part-{part:03d}.{shape.extension}"
        is_last = part == shape.parts - 1
        write_file(path, rows[part * size : (part + 1) * size], bad if is_last else bad.clear())
    return shape.parts


def write_file(path: Path, rows: pl.DataFrame, bad: pl.DataFrame) -> None:
    """Write one file in the format that its name tells; Parquet is typed and takes no bad rows."""
    if path.suffix == ".parquet":
        rows.write_parquet(path)
        return
    if ".csv" in path.suffixes:
        content = text_of(rows).write_csv() + bad.write_csv(include_header=False)
    else:
        times = pl.col(pl.Datetime).dt.strftime(JSON_TIME)
        content = rows.with_columns(times).write_ndjson() + bad.write_ndjson()
    data = content.encode()
    # A gzip header holds the time of writing unless it is given one.
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
