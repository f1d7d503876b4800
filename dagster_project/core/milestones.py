"""Onboarding: the one rule for when an account reached a milestone, and the flow that follows.

What belongs here: the Nth occurrence, days to reach, status, censoring, started / completed / open
per period. What does not: reading files, time zones (dates arrive in the reporting zone), which
orders count (cancelled and refunded ones are gone before), which milestones exist
(dbt/seeds/onboarding_milestones.csv), survival curves and start cohorts (marts on top of `reach`).
"""

from datetime import date, timedelta

import polars as pl

from dagster_project.core.slices import by_slice

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def reach(
    starts: pl.LazyFrame, occurrences: pl.LazyFrame, milestones: pl.LazyFrame, as_of: date
) -> pl.LazyFrame:
    """The rows of mart_onboarding_milestones: one per account x milestone.

    Inputs, dates in the reporting time zone:
    starts: account_id, started_at, started_date, churned_at?, churned_date? (the first churn);
    occurrences: account_id, source, event_name?, occurrence_id, occurred_at, occurred_date;
    milestones: the seed (only source `event` reads event_name). Accounts that start after `as_of`
    have no rows; a churn or an occurrence after it has not happened.

    Reached: the nth occurrence by (occurred_at, occurrence_id), wherever it lies relative to the
    start. The first churn closes what is open: an account's life is half-open, so an occurrence at
    the very instant of the churn is outside it. Later occurrences, of a second life, do not count.

    status: reached; churned_before; overdue (open and more than target_days after the start at
    `as_of`); in_progress. reached_at is UTC and null unless reached. days_to_reach: calendar days
    from started_date, null unless reached, 0 with pre_start true where it was reached before.
    observed_until: the date of the milestone, of the churn, or `as_of`, never before started_date.
    So observed_until - started_date is the duration of a survival analysis, is_censored its
    censoring, and the two agree with days_to_reach. target_days null is never overdue.
    """
    happened = (
        occurrences.filter(pl.col("occurred_date") <= as_of)
        .with_columns(event_name=_event_name())
        .join(
            milestones.select("source", _event_name()).unique(),
            on=["source", "event_name"],
            how="semi",
            nulls_equal=True,
        )
        .with_columns(
            nth=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(
                "account_id", "source", "event_name", order_by=["occurred_at", "occurrence_id"]
            )
        )
        .select("account_id", "source", "event_name", "nth", "occurred_at", "occurred_date")
    )
    # The seed's integers are typed by whoever read the CSV; a join key must not depend on that.
    rules = milestones.with_columns(_event_name(), pl.col("nth", "target_days").cast(pl.Int64))

    has_churned = pl.col("churned_date") <= as_of
    is_reached = pl.col("occurred_at").is_not_null()
    return (
        starts.filter(pl.col("started_date") <= as_of)
        .with_columns(pl.when(has_churned).then(pl.col("churned_at", "churned_date")))
        .join(rules, how="cross")
        .join(
            happened,
            on=["account_id", "source", "event_name", "nth"],
            how="left",
            nulls_equal=True,
        )
        .with_columns(
            pl.when(
                pl.col("churned_at").is_null() | (pl.col("occurred_at") < pl.col("churned_at"))
            ).then(pl.col("occurred_at", "occurred_date"))
        )
        .with_columns(
            observed_until=pl.max_horizontal(
                pl.coalesce("occurred_date", "churned_date", pl.lit(as_of)), "started_date"
            )
        )
        .with_columns(
            observed_days=(pl.col("observed_until") - pl.col("started_date")).dt.total_days()
        )
        .select(
            "account_id",
            "milestone",
            pl.when(is_reached)
            .then(pl.lit("reached"))
            .when(pl.col("churned_at").is_not_null())
            .then(pl.lit("churned_before"))
            .when(pl.col("observed_days") > pl.col("target_days"))
            .then(pl.lit("overdue"))
            .otherwise(pl.lit("in_progress"))
            .alias("status"),
            pl.when(is_reached).then("observed_days").alias("days_to_reach"),
            "target_days",
            "is_required",
            (~is_reached).alias("is_censored"),
            (pl.col("occurred_date") < pl.col("started_date")).fill_null(False).alias("pre_start"),
            "started_at",
            pl.col("occurred_at").alias("reached_at"),
            "started_date",
            "observed_until",
        )
        .sort("account_id", "milestone")
    )


def throughput(
    reached: pl.LazyFrame, slices: pl.LazyFrame, as_of: date, week_start: str = "monday"
) -> pl.LazyFrame:
    """The rows of mart_onboarding_throughput: one per slice x week and slice x month.

    `reached` is the result of `reach`; slices: account_id, slice_dimension, slice_value.
    Completed: every required milestone reached, on the day of the last of them (not before the
    start). Churned before: the first churn came while a required milestone was open. Everybody else
    is open, so open_at_end = open_at_start + started - completed - churned_before, and open_at_end
    is the next period's open_at_start. completed_within_target: of the completed, those that
    reached each required milestone within its target_days. Where no milestone is required there
    is nothing to complete, and no rows.

    Periods are gap-free from a slice's first start to the one that holds `as_of`; period_end is
    excluded. Raises ValueError where `week_start` is not an English weekday name.
    """
    if week_start not in WEEKDAYS:
        raise ValueError(f"week_start is {week_start!r}; it must be one of {', '.join(WEEKDAYS)}")
    to_monday = WEEKDAYS.index(week_start)

    is_reached = pl.col("status") == "reached"
    is_late = (pl.col("days_to_reach") > pl.col("target_days")).fill_null(False)
    accounts = (
        reached.filter("is_required")
        .group_by("account_id", "started_date")
        .agg(
            is_completed=is_reached.all(),
            is_churned=(pl.col("status") == "churned_before").any(),
            is_in_time=~is_late.any(),
            # The required milestones of a churned account end at its churn at the latest.
            ended_date=pl.col("observed_until").max(),
        )
    )
    counts = ["started", "completed", "completed_within_target", "churned_before"]
    one = pl.lit(1, pl.Int64)
    flows = pl.concat(
        [
            accounts.select("account_id", date="started_date", started=one),
            accounts.filter("is_completed").select(
                "account_id",
                date="ended_date",
                completed=one,
                completed_within_target=pl.col("is_in_time").cast(pl.Int64),
            ),
            accounts.filter("is_churned").select(
                "account_id", date="ended_date", churned_before=one
            ),
        ],
        how="diagonal",
    )

    def of_grain(grain: str, every: str, shift_days: int) -> pl.LazyFrame:
        def period_of(day: pl.Expr) -> pl.Expr:
            shift = timedelta(days=shift_days)
            return (day - shift).dt.truncate(every) + shift

        slice_periods = ["slice_dimension", "slice_value", "period_start"]
        moved = (
            by_slice(flows.with_columns(period_start=period_of(pl.col("date"))), slices)
            .group_by(slice_periods)
            .agg(pl.col(counts).sum())
        )
        return (
            moved.group_by("slice_dimension", "slice_value")
            .agg(pl.col("period_start").min())
            .with_columns(
                period_start=pl.date_ranges("period_start", pl.lit(as_of), interval=every)
            )
            .explode("period_start")
            .join(moved, on=slice_periods, how="left")
            .with_columns(
                period_grain=pl.lit(grain), period_end=pl.col("period_start").dt.offset_by(every)
            )
        )

    net = pl.col("started") - pl.col("completed") - pl.col("churned_before")
    return (
        pl.concat([of_grain("week", "1w", to_monday), of_grain("month", "1mo", 0)])
        .with_columns(pl.col(counts).fill_null(0))
        .with_columns(
            open_at_end=net.cum_sum().over(
                "period_grain", "slice_dimension", "slice_value", order_by="period_start"
            )
        )
        .select(
            "period_grain",
            "slice_dimension",
            "slice_value",
            (pl.col("open_at_end") - net).alias("open_at_start"),
            *counts,
            "open_at_end",
            (pl.col("period_end") <= as_of + timedelta(days=1)).alias("is_complete_period"),
            "period_start",
            "period_end",
        )
        .sort("period_grain", "period_start", "slice_dimension", "slice_value")
    )


def _event_name() -> pl.Expr:
    """The name an event is told apart by; null for the sources that have no names."""
    return pl.when(pl.col("source") == "event").then("event_name").alias("event_name")
