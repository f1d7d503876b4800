"""Typed input frames for the survey and onboarding functions, as the warehouse hands them over.

What belongs here: columns, types and defaults of those inputs. What does not: expected values.
"""

from collections.abc import Iterable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import polars as pl

SEEDS = Path(__file__).parents[1] / "dbt" / "seeds"
Row = dict[str, Any]

RESPONSES = {
    "response_id": pl.String,
    "survey_type": pl.String,
    "respondent_id": pl.String,
    "account_id": pl.String,
    "responded_at": pl.Datetime("us"),
    "responded_date": pl.Date,
    "sent_date": pl.Date,
    "score": pl.Int32,
    "is_test": pl.Boolean,
}
INVITATIONS = {
    "invitation_id": pl.String,
    "survey_type": pl.String,
    "respondent_id": pl.String,
    "account_id": pl.String,
    "sent_at": pl.Datetime("us"),
    "sent_date": pl.Date,
}
SURVEY_TYPES = {
    "survey_type": pl.String,
    "metric": pl.String,
    "scale_min": pl.Int32,
    "scale_max": pl.Int32,
    "favourable_from": pl.Int32,
    "unfavourable_to": pl.Int32,
    "is_high_good": pl.Boolean,
    "no_answer_codes": pl.String,
}
SLICES = {"account_id": pl.String, "slice_dimension": pl.String, "slice_value": pl.String}
ACCOUNT_MONTHS = {
    "account_id": pl.String,
    "period_start": pl.Date,
    "closing_mrr": pl.Decimal(18, 6),
}
STARTS = {
    "account_id": pl.String,
    "started_at": pl.Datetime("us"),
    "started_date": pl.Date,
    "churned_at": pl.Datetime("us"),
    "churned_date": pl.Date,
}
OCCURRENCES = {
    "account_id": pl.String,
    "source": pl.String,
    "event_name": pl.String,
    "occurrence_id": pl.String,
    "occurred_at": pl.Datetime("us"),
    "occurred_date": pl.Date,
}
MILESTONES = {
    "milestone": pl.String,
    "source": pl.String,
    "event_name": pl.String,
    "nth": pl.Int32,
    "target_days": pl.Int32,
    "is_required": pl.Boolean,
}


def frame(rows: Iterable[Row], schema: dict[str, Any]) -> pl.LazyFrame:
    return pl.LazyFrame(list(rows), schema=schema)


def seed(name: str, schema: dict[str, Any]) -> pl.LazyFrame:
    """A shipped seed, with the types that the warehouse gives it."""
    return pl.scan_csv(SEEDS / f"{name}.csv", schema=schema)


def response(response_id: str, score: int | None, day: date, **values: Any) -> Row:
    at = values.pop("responded_at", datetime.combine(day, time(12)))
    return {
        "response_id": response_id,
        "survey_type": "nps",
        "responded_at": at,
        "responded_date": day,
        "score": score,
        "is_test": False,
    } | values


def invitation(invitation_id: str, respondent_id: str, day: date, **values: Any) -> Row:
    return {
        "invitation_id": invitation_id,
        "survey_type": "nps",
        "respondent_id": respondent_id,
        "sent_at": datetime.combine(day, time(9)),
        "sent_date": day,
    } | values


def slices(attributes: dict[str, dict[str, str | None]]) -> pl.LazyFrame:
    """account -> dimension -> value, with the total that the warehouse always adds."""
    return frame(
        (
            {"account_id": account, "slice_dimension": dimension, "slice_value": value}
            for account, values in attributes.items()
            for dimension, value in ({"total": "all"} | values).items()
        ),
        SLICES,
    )


def start(account_id: str, day: date, churned_at: datetime | None = None) -> Row:
    return {
        "account_id": account_id,
        "started_at": datetime.combine(day, time()),
        "started_date": day,
        "churned_at": churned_at,
        "churned_date": churned_at.date() if churned_at else None,
    }


def occurrence(account_id: str, at: datetime, occurrence_id: str, **values: Any) -> Row:
    return {
        "account_id": account_id,
        "source": "order",
        "occurrence_id": occurrence_id,
        "occurred_at": at,
        "occurred_date": at.date(),
    } | values
