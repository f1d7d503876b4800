"""Onboarding milestones, throughput, cohorts, curves: worked examples and a plain recount."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise, product
from typing import Any

import oracle
import polars as pl
import pytest
from frames import MILESTONES, OCCURRENCES, STARTS, Row, frame, occurrence, seed, slices, start
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter  # type: ignore[import-untyped]
from models import CompileModels, rows_of
from polars.testing import assert_frame_equal
from rows import account as account_row

from dagster_project.core.milestones import WEEKDAYS, reach, throughput

JAN = date(2024, 1, 1)
AS_OF = date(2024, 12, 31)
SHIPPED = seed("onboarding_milestones", MILESTONES).collect().to_dicts()
WINDOWS = (7, 30, 60, 90)
MARTS = ("mart_onboarding_cohorts", "mart_survival_curve")
COUNTS = ["started", "completed", "completed_within_target", "churned_before"]


def milestone(name: str, source: str = "order", nth: int = 1, **values: Any) -> Row:
    rule = {"milestone": name, "source": source, "nth": nth, "target_days": 30, "is_required": True}
    return rule | values


def order(account: str, day: int, order_id: str, hour: int = 12) -> Row:
    return occurrence(account, datetime(2024, 1, 1, hour) + timedelta(days=day), order_id)


def event(account: str, name: str, day: int, event_id: str) -> Row:
    at = datetime(2024, 1, 1, 8) + timedelta(days=day)
    return occurrence(account, at, event_id, source="event", event_name=name)


@dataclass(frozen=True)
class World:
    starts: list[Row]
    occurrences: list[Row] = field(default_factory=list)
    milestones: list[Row] = field(default_factory=lambda: SHIPPED)
    accounts: dict[str, dict[str, str | None]] = field(default_factory=dict)
    as_of: date = AS_OF
    week_start: str = "monday"

    def reached(self) -> pl.DataFrame:
        return reach(
            frame(self.starts, STARTS),
            frame(self.occurrences, OCCURRENCES),
            frame(self.milestones, MILESTONES),
            self.as_of,
        ).collect(engine="streaming")

    def row(self, milestone: str, account: str = "A") -> Row:
        return self.reached().row(
            by_predicate=(pl.col("milestone") == milestone) & (pl.col("account_id") == account),
            named=True,
        )

    def flow(self) -> pl.DataFrame:
        return throughput(
            self.reached().lazy(), slices(self.accounts), self.as_of, self.week_start
        ).collect(engine="streaming")


# Reaching


def test_example_43_with_90_of_100_open_the_median_is_not_reached_and_never_5_minutes() -> None:
    born = datetime(2024, 1, 1)
    world = World(
        starts=[start(f"a{i}", born.date()) for i in range(100)],
        occurrences=[occurrence(f"a{i}", born + timedelta(minutes=5), f"o{i}") for i in range(10)],
        milestones=[milestone("first_value")],
    )
    table = world.reached()
    assert Counter(table.get_column("status")) == {"reached": 10, "overdue": 90}
    assert table.filter("is_censored").get_column("observed_until").unique().to_list() == [AS_OF]
    durations = (table.get_column("observed_until") - table.get_column("started_date")).dt
    curve = KaplanMeierFitter().fit(durations.total_days(), ~table.get_column("is_censored"))
    assert curve.median_survival_time_ == math.inf


def test_the_shipped_milestones_count_orders_and_named_events() -> None:
    world = World(
        starts=[start("A", JAN)],
        occurrences=[
            order("A", 3, "o1"),
            order("A", 40, "o2"),
            event("A", "login", 0, "e1"),
            event("A", "export", 1, "e2"),
            event("A", "report_created", 9, "e3"),
        ],
    )
    assert {r["milestone"]: r["days_to_reach"] for r in world.reached().to_dicts()} == {
        "first_login": 0,
        "first_key_action": 9,
        "first_order": 3,
        "second_order": 40,
        "third_order": None,
    }


def test_an_outcome_is_a_milestone_and_only_events_are_told_apart_by_name() -> None:
    at = datetime(2024, 1, 6)
    world = World(
        starts=[start("A", JAN)],
        occurrences=[
            occurrence("A", at, "x", source="outcome", event_name="save time"),
            occurrence("A", at + timedelta(days=1), "y", source="outcome"),
        ],
        milestones=[
            milestone("first_outcome", "outcome"),
            milestone("second_outcome", "outcome", 2, event_name="ignored"),
        ],
    )
    assert world.row("first_outcome")["days_to_reach"] == 5
    assert world.row("second_outcome")["days_to_reach"] == 6


def test_two_milestones_may_read_the_same_occurrence() -> None:
    rules = [milestone("activated"), milestone("first_order")]
    table = World([start("A", JAN)], [order("A", 2, "o")], rules).reached()
    assert table.get_column("days_to_reach").to_list() == [2, 2]


def test_orders_at_one_instant_rank_by_id() -> None:
    at = datetime(2024, 1, 10, 12)
    # Their dates differ only to tell which of the two came first.
    occurrences = [
        occurrence("A", at, "o2", occurred_date=date(2024, 1, 10)),
        occurrence("A", at, "o10", occurred_date=date(2024, 1, 9)),
    ]
    world = World([start("A", JAN)], occurrences)
    found = [world.row(name)["days_to_reach"] for name in ("first_order", "second_order")]
    assert found == [8, 9]


def test_a_milestone_reached_before_the_start_took_no_days() -> None:
    world = World([start("A", JAN)], [order("A", -20, "o1"), order("A", 5, "o2")])
    first, second = world.row("first_order"), world.row("second_order")
    assert (first["days_to_reach"], first["pre_start"], first["status"]) == (0, True, "reached")
    assert first["reached_at"] == datetime(2023, 12, 12, 12)
    assert first["observed_until"] == JAN
    assert (second["days_to_reach"], second["pre_start"]) == (5, False)


def test_days_are_calendar_days_of_the_reporting_zone_as_given() -> None:
    late_in_utc = occurrence("A", datetime(2024, 1, 5, 23, 30), "o", occurred_date=date(2024, 1, 6))
    row = World([start("A", JAN)], [late_in_utc]).row("first_order")
    assert (row["days_to_reach"], row["observed_until"]) == (5, date(2024, 1, 6))
    assert row["reached_at"] == datetime(2024, 1, 5, 23, 30)


@pytest.mark.parametrize(
    ("seconds", "status"), [(-1, "reached"), (0, "churned_before"), (1, "churned_before")]
)
def test_the_first_churn_closes_a_milestone_at_its_very_instant(seconds: int, status: str) -> None:
    churned_at = datetime(2024, 2, 1, 12)
    late = occurrence("A", churned_at + timedelta(seconds=seconds), "o")
    row = World([start("A", JAN, churned_at)], [late]).row("first_order")
    assert row["status"] == status
    assert row["observed_until"] == date(2024, 2, 1)
    assert row["is_censored"] == (status == "churned_before")
    assert (row["reached_at"] is None) == (row["days_to_reach"] is None) == row["is_censored"]


def test_a_churn_after_as_of_has_not_happened() -> None:
    row = World([start("A", JAN, datetime(2025, 1, 1))]).row("first_order")
    assert (row["status"], row["observed_until"]) == ("overdue", AS_OF)


def test_an_occurrence_after_as_of_has_not_happened() -> None:
    world = World([start("A", JAN)], [order("A", 10, "o")], as_of=JAN + timedelta(days=9))
    assert world.row("first_order")["status"] == "in_progress"


def test_an_account_that_starts_after_as_of_is_not_there_yet() -> None:
    world = World([start("A", JAN), start("B", date(2025, 1, 1))])
    assert world.reached().get_column("account_id").unique().to_list() == ["A"]


@pytest.mark.parametrize(
    ("days", "target", "status"),
    [(30, 30, "in_progress"), (31, 30, "overdue"), (300, None, "in_progress")],
)
def test_a_milestone_is_overdue_when_it_is_older_than_its_target(
    days: int, target: int | None, status: str
) -> None:
    rule = milestone("first_order", target_days=target)
    world = World([start("A", JAN)], milestones=[rule], as_of=JAN + timedelta(days=days))
    assert world.row("first_order")["status"] == status


def test_a_churn_dated_before_the_start_ends_the_observation_on_the_day_of_the_start() -> None:
    world = World([start("A", JAN, datetime(2023, 12, 1))], [order("A", 3, "o")])
    row = world.row("first_order")
    assert (row["status"], row["observed_until"]) == ("churned_before", JAN)
    assert world.flow().get_column("open_at_end").unique().to_list() == [0]


def test_exports_that_never_arrived_give_no_rows_and_typed_columns() -> None:
    world = World([])
    assert (world.reached().height, world.flow().height) == (0, 0)
    assert world.reached().schema["days_to_reach"] == pl.Int64


# Throughput


def months(world: World, **of_slice: str) -> dict[int, tuple[int, ...]]:
    at = {"slice_dimension": "total", "period_grain": "month"} | of_slice
    return {
        row["period_start"].month: tuple(row[c] for c in ("open_at_start", *COUNTS, "open_at_end"))
        for row in world.flow().filter(**at).to_dicts()
    }


TWO_STEPS = [
    milestone("login", "event", event_name="login", target_days=7),
    milestone("report", "event", event_name="report", target_days=60),
    milestone("order", is_required=False, target_days=1),
]


def test_completed_is_dated_by_the_last_required_milestone_and_quiet_months_have_rows() -> None:
    world = World(
        starts=[
            start("A", date(2024, 1, 10)),
            start("B", date(2024, 1, 20), datetime(2024, 4, 2)),
            start("C", date(2024, 4, 1)),
        ],
        occurrences=[
            event("A", "report", 12, "e1"),
            event("A", "login", 13, "e2"),
            event("B", "login", 30, "e3"),
            event("B", "report", 95, "after the churn"),
        ],
        milestones=TWO_STEPS,
        as_of=date(2024, 5, 15),
    )
    assert months(world) == {
        1: (0, 2, 1, 1, 0, 1),
        2: (1, 0, 0, 0, 0, 1),
        3: (1, 0, 0, 0, 0, 1),
        4: (1, 1, 0, 0, 1, 1),
        5: (1, 0, 0, 0, 0, 1),
    }
    complete = world.flow().filter(period_grain="month").get_column("is_complete_period")
    assert complete.to_list() == [True, True, True, True, False]


def test_completed_late_is_completed_but_not_within_target() -> None:
    world = World(
        starts=[start("A", JAN)],
        occurrences=[event("A", "login", 8, "e1"), event("A", "report", 9, "e2")],
        milestones=TWO_STEPS,
        as_of=date(2024, 1, 31),
    )
    assert months(world) == {1: (0, 1, 1, 0, 0, 0)}
    assert world.flow().filter(period_grain="month").item(0, "is_complete_period")


def test_what_was_reached_before_the_start_completes_on_the_day_of_the_start() -> None:
    world = World(
        starts=[start("A", date(2024, 3, 5))],
        occurrences=[event("A", "login", 8, "e1"), event("A", "report", 9, "e2")],
        milestones=TWO_STEPS,
        as_of=date(2024, 3, 31),
    )
    assert months(world) == {3: (0, 1, 1, 1, 0, 0)}


def test_a_churn_after_completion_or_before_an_optional_milestone_is_not_counted() -> None:
    world = World(
        starts=[start("A", JAN, datetime(2024, 1, 20))],
        occurrences=[event("A", "login", 1, "e1"), event("A", "report", 2, "e2")],
        milestones=TWO_STEPS,
        as_of=date(2024, 1, 31),
    )
    assert world.row("order")["status"] == "churned_before"
    assert months(world) == {1: (0, 1, 1, 1, 0, 0)}


def test_where_no_milestone_is_required_there_is_nothing_to_complete() -> None:
    world = World([start("A", JAN)], milestones=[milestone("order", is_required=False)])
    assert world.reached().height == 1
    assert world.flow().height == 0


def test_a_slice_begins_with_its_own_first_start_and_unknown_accounts_are_kept() -> None:
    world = World(
        starts=[start("A", JAN), start("B", date(2024, 3, 1)), start("C", date(2024, 3, 9))],
        milestones=TWO_STEPS,
        accounts={"A": {"segment": "smb"}, "B": {"segment": None}},
        as_of=date(2024, 4, 30),
    )
    opened = {
        value: {m: row[-1] for m, row in months(world, **of_slice).items()}
        for value, of_slice in {
            "all": {"slice_value": "all"},
            "smb": {"slice_dimension": "segment", "slice_value": "smb"},
            "unknown": {"slice_dimension": "segment", "slice_value": "unknown"},
        }.items()
    }
    assert opened == {
        "all": {1: 1, 2: 1, 3: 3, 4: 3},
        "smb": {1: 1, 2: 1, 3: 1, 4: 1},
        "unknown": {3: 2, 4: 2},
    }


@pytest.mark.parametrize(
    ("week_start", "first_week"),
    [
        ("monday", date(2024, 1, 1)),
        ("sunday", date(2024, 1, 7)),
        ("saturday", date(2024, 1, 6)),
    ],
)
def test_weeks_begin_on_the_weekday_of_the_policy(week_start: str, first_week: date) -> None:
    world = World([start("A", date(2024, 1, 7))], as_of=date(2024, 1, 21), week_start=week_start)
    weeks = world.flow().filter(period_grain="week")
    assert weeks.get_column("period_start").min() == first_week
    lengths = weeks.get_column("period_end") - weeks.get_column("period_start")
    assert lengths.unique().to_list() == [timedelta(days=7)]


def test_an_unknown_weekday_is_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="week_start is 'sun'; it must be one of monday"):
        throughput(World([]).reached().lazy(), slices({}), AS_OF, "sun")


# Cohorts and curves

Build = Callable[[World], dict[str, list[Row]]]


@pytest.fixture(scope="module")
def build(compile_models: CompileModels) -> Build:
    """The marts on top of `reach`, by name, with the rows of every slice."""
    models = compile_models(oracle.Policies(), MARTS)

    def built(world: World) -> dict[str, list[Row]]:
        known = [
            account_row(name, segment=world.accounts.get(name, {}).get("segment"))
            for name in (row["account_id"] for row in world.starts)
        ]
        reached = world.reached().to_dicts()
        exports = oracle.World(world.as_of, accounts=known)
        with closing(models.build(exports, derived__onboarding_milestones=reached)) as database:
            return {mart: rows_of(database, mart) for mart in MARTS}

    return built


def cohorts(table: list[Row]) -> dict[tuple[int, int], tuple[int, int]]:
    """Started and reached in all, by month of the start and window."""
    return {
        (row["cohort_start"].month, row["window_days"]): (row["started"], row["reached"])
        for row in table
        if row["slice_dimension"] == "total"
    }


def test_ten_of_a_hundred_activated_is_a_tenth_and_no_median_of_the_ten(build: Build) -> None:
    # The published fault (tival.io): the mean of the ten that activated, for all hundred.
    born = datetime(2024, 1, 1)
    marts = build(
        World(
            starts=[start(f"a{i}", born.date()) for i in range(100)],
            occurrences=[
                occurrence(f"a{i}", born + timedelta(days=1, minutes=5), f"o{i}") for i in range(10)
            ],
            milestones=[milestone("first_value")],
        )
    )
    curve = [row for row in marts["mart_survival_curve"] if row["slice_dimension"] == "total"]
    assert [(row["age_days"], row["at_risk"], row["events"]) for row in curve] == [
        (1, 100, 10),
        (365, 90, 0),
    ]
    for row in curve:
        assert (row["naive_mean_days"], row["median_days"], row["p75_days"]) == (1, None, None)
    total = [r for r in marts["mart_onboarding_cohorts"] if r["slice_dimension"] == "total"]
    assert {(row["window_days"], row["reached_share"]) for row in total} == {
        (days, 0.1) for days in WINDOWS
    }


def test_a_cohort_by_hand_with_accounts_that_left_or_were_there_before(build: Build) -> None:
    world = World(
        starts=[
            start("early", date(2024, 1, 10)),
            start("on day 7", date(2024, 1, 10)),
            start("on day 8", date(2024, 1, 31)),
            start("left", date(2024, 1, 10), datetime(2024, 1, 12)),
            start("never", date(2024, 1, 31)),
            start("reached, then left", date(2024, 2, 1), datetime(2024, 3, 20)),
        ],
        occurrences=[
            order("early", -20, "o1"),
            order("on day 7", 9 + 7, "o2"),
            order("on day 8", 30 + 8, "o3"),
            order("left", 20, "o4"),
            order("reached, then left", 31 + 30, "o5"),
        ],
        milestones=[milestone("first_order")],
        as_of=date(2024, 4, 30),
    )
    # 31 January and 90 days are 30 April; 29 February and 60 days are 29 April, and 90 are May.
    january = {(1, 7): (5, 2), (1, 30): (5, 3), (1, 60): (5, 3), (1, 90): (5, 3)}
    february = {(2, 7): (1, 0), (2, 30): (1, 1), (2, 60): (1, 1)}
    table = build(world)["mart_onboarding_cohorts"]
    assert cohorts(table) == january | february
    assert {row["reached_share"] for row in table if row["cohort_start"].month == 1} == {0.4, 0.6}
    assert all(row["is_mature"] for row in table)


@pytest.mark.parametrize(("as_of", "windows"), [(date(2024, 3, 30), 2), (date(2024, 3, 31), 3)])
def test_a_cell_is_there_once_who_started_last_has_had_the_days(
    build: Build, as_of: date, windows: int
) -> None:
    # January has 31 days whether or not somebody starts on the last of them: 60 more end 31 March.
    table = build(World([start("A", JAN)], milestones=[milestone("first_order")], as_of=as_of))
    found = cohorts(table["mart_onboarding_cohorts"])
    assert found == {(1, days): (1, 0) for days in WINDOWS[:windows]}


def test_without_starts_there_are_no_cohorts(build: Build) -> None:
    assert build(World([]))["mart_onboarding_cohorts"] == []


# Against a recount


def recount_reach(world: World) -> dict[tuple[str, str], Row]:
    rows = {}
    for account, rule in product(world.starts, world.milestones):
        began = account["started_date"]
        if began > world.as_of:
            continue
        churn = account["churned_at"]
        if churn and churn.date() > world.as_of:
            churn = None
        seen = sorted(
            (o["occurred_at"], o["occurrence_id"])
            for o in world.occurrences
            if o["account_id"] == account["account_id"]
            and o["source"] == rule["source"]
            and (rule["source"] != "event" or o.get("event_name") == rule["event_name"])
            and o["occurred_at"].date() <= world.as_of
            and (churn is None or o["occurred_at"] < churn)
        )
        at = seen[rule["nth"] - 1][0] if len(seen) >= rule["nth"] else None
        if at:
            status, until = "reached", at.date()
        elif churn:
            status, until = "churned_before", churn.date()
        else:
            is_overdue = (world.as_of - began).days > rule["target_days"]
            status, until = "overdue" if is_overdue else "in_progress", world.as_of
        rows[(account["account_id"], rule["milestone"])] = {
            "status": status,
            "reached_at": at,
            "days_to_reach": max((at.date() - began).days, 0) if at else None,
            "observed_until": max(until, began),
        }
    return rows


def recount_flow(world: World) -> dict[tuple[str, date, str, str], tuple[int, ...]]:
    reached = recount_reach(world)
    required = [rule for rule in world.milestones if rule["is_required"]]
    lives: list[tuple[str, date, str, date, bool]] = []
    for account in world.starts:
        if account["started_date"] > world.as_of or not required:
            continue
        mine = [(rule, reached[(account["account_id"], rule["milestone"])]) for rule in required]
        end = max(row["observed_until"] for _, row in mine)
        kinds = {row["status"] for _, row in mine}
        kind = "completed" if kinds == {"reached"} else "open"
        if "churned_before" in kinds:
            kind = "churned"
        is_in_time = kind == "completed" and all(
            row["days_to_reach"] <= rule["target_days"] for rule, row in mine
        )
        lives.append((account["account_id"], account["started_date"], kind, end, is_in_time))

    def period(grain: str, day: date) -> date:
        if grain == "month":
            return day.replace(day=1)
        while day.weekday() != WEEKDAYS.index(world.week_start):
            day -= timedelta(days=1)
        return day

    rows: dict[tuple[str, date, str, str], tuple[int, ...]] = {}
    for grain, dimension in product(("week", "month"), ("total", "segment")):
        by_value: dict[str, list[tuple[str, date, str, date, bool]]] = {}
        for life in lives:
            value = (world.accounts.get(life[0]) or {}).get("segment") or "unknown"
            by_value.setdefault("all" if dimension == "total" else value, []).append(life)
        for value, members in by_value.items():
            first = min(period(grain, life[1]) for life in members)
            days = [first + timedelta(days=i) for i in range((world.as_of - first).days + 1)]
            for at in sorted({period(grain, day) for day in days}):
                ended = [life for life in members if period(grain, life[3]) == at]
                rows[(grain, at, dimension, value)] = (
                    sum(period(grain, life[1]) == at for life in members),
                    sum(life[2] == "completed" for life in ended),
                    sum(life[4] for life in ended),
                    sum(life[2] == "churned" for life in ended),
                    sum(
                        period(grain, life[1]) <= at
                        and (life[2] == "open" or period(grain, life[3]) > at)
                        for life in members
                    ),
                )
    return rows


def lives_of(world: World) -> dict[tuple[str, str, str], list[tuple[date, Row]]]:
    """Start and recounted end of every account, by milestone and slice."""
    began = {row["account_id"]: row["started_date"] for row in world.starts}
    lives: dict[tuple[str, str, str], list[tuple[date, Row]]] = defaultdict(list)
    for (name, rule), row in recount_reach(world).items():
        segment = world.accounts.get(name, {}).get("segment") or "unknown"
        for slice_ in (("total", "all"), ("segment", segment)):
            lives[(rule, *slice_)].append((began[name], row))
    return lives


def recount_cohorts(world: World) -> dict[tuple[Any, ...], tuple[int, int]]:
    cells: dict[tuple[Any, ...], tuple[int, int]] = {}
    for key, lives in lives_of(world).items():
        for month, days in product({began.replace(day=1) for began, _ in lives}, WINDOWS):
            last_start = oracle.next_month(month) - timedelta(days=1)
            if last_start + timedelta(days=days) > world.as_of:
                continue
            members = [(began, row) for began, row in lives if began.replace(day=1) == month]
            in_time = [
                row
                for began, row in members
                if row["reached_at"] and row["reached_at"].date() <= began + timedelta(days=days)
            ]
            cells[(*key, month, days)] = (len(members), len(in_time))
    return cells


@st.composite
def worlds(draw: st.DrawFn) -> World:
    instants = st.datetimes(datetime(2023, 12, 25), datetime(2024, 3, 5)).map(
        lambda at: at.replace(hour=at.hour // 12 * 12, minute=0, second=0, microsecond=0)
    )
    days = st.dates(date(2023, 12, 25), date(2024, 3, 5))
    who = ["A", "B", "C", "D"]
    starts = [start(a, draw(days), draw(st.one_of(st.none(), instants))) for a in who]
    kinds: st.SearchStrategy[Row] = st.sampled_from(
        [
            {"source": "order"},
            {"source": "event", "event_name": "login"},
            {"source": "event", "event_name": "report_created"},
            {"source": "event", "event_name": None},
        ]
    )
    somebody = st.sampled_from([*who, "stranger"])
    occurrences = [
        occurrence(draw(somebody), draw(instants), f"o{i}", **draw(kinds))
        for i in range(draw(st.integers(0, 20)))
    ]
    return World(
        starts=starts,
        occurrences=occurrences,
        accounts={"A": {"segment": "smb"}, "B": {"segment": "smb"}, "C": {"segment": None}},
        as_of=draw(st.sampled_from([date(2024, 2, 29), date(2024, 3, 1), date(2024, 1, 7)])),
        week_start=draw(st.sampled_from(WEEKDAYS)),
    )


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_reaching_equals_a_recount_in_plain_python(world: World) -> None:
    expected = recount_reach(world)
    table = world.reached().to_dicts()
    assert len(table) == len(expected)
    for row in table:
        found = expected[(row["account_id"], row["milestone"])]
        assert {name: row[name] for name in found} == found


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_throughput_equals_a_recount_in_plain_python(world: World) -> None:
    table = world.flow().to_dicts()
    key = ("period_grain", "period_start", "slice_dimension", "slice_value")
    found = {tuple(r[k] for k in key): tuple(r[c] for c in [*COUNTS, "open_at_end"]) for r in table}
    assert found == recount_flow(world)
    assert len(found) == len(table)


@settings(max_examples=60, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_flow_reconciles_and_row_order_does_not_matter(world: World, random: Any) -> None:
    table = world.flow()
    series = ["period_grain", "slice_dimension", "slice_value"]
    for _, rows in table.group_by(series):
        for before, after in pairwise(rows.sort("period_start").to_dicts()):
            assert after["open_at_start"] == before["open_at_end"]
            assert after["period_start"] == before["period_end"]
        for row in rows.to_dicts():
            net = row["started"] - row["completed"] - row["churned_before"]
            assert row["open_at_end"] == row["open_at_start"] + net
            assert row["open_at_end"] >= 0

    additive = [*COUNTS, "open_at_end"]
    sums = table.group_by("period_grain", "period_start", "slice_dimension").agg(
        pl.col(additive).sum()
    )
    assert (
        sums.group_by("period_grain", "period_start")
        .agg(pl.col(additive).n_unique())
        .filter(pl.any_horizontal(pl.col(additive) > 1))
        .is_empty()
    )

    shuffled = World(
        random.sample(world.starts, len(world.starts)),
        random.sample(world.occurrences, len(world.occurrences)),
        world.milestones[::-1],
        dict(reversed(world.accounts.items())),
        world.as_of,
        world.week_start,
    )
    assert_frame_equal(world.reached(), shuffled.reached(), check_exact=True)
    assert_frame_equal(table, shuffled.flow(), check_exact=True)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds())
def test_cohorts_equal_a_recount_and_slices_sum_to_the_total(build: Build, world: World) -> None:
    table = build(world)["mart_onboarding_cohorts"]
    key = ("milestone", "slice_dimension", "slice_value", "cohort_start", "window_days")
    found = {tuple(row[k] for k in key): (row["started"], row["reached"]) for row in table}
    assert len(found) == len(table)
    recounted = {at: cell for at, cell in found.items() if at[1] in ("total", "segment")}
    assert recounted == recount_cohorts(world)

    sums: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for (rule, dimension, _, *at), (started, reached) in found.items():
        sums[(rule, *at)].update({f"{dimension} started": started, f"{dimension} reached": reached})
    dimensions = ("total", "segment", "plan_tier", "country", "acquisition_channel")
    for cell in sums.values():
        for measure in ("started", "reached"):
            assert len({cell[f"{dimension} {measure}"] for dimension in dimensions}) == 1

    for row in table:
        assert row["reached_share"] == pytest.approx(row["reached"] / row["started"])
        assert row["is_small_sample"] == (row["started"] < 5)
    for (*at, days), (started, reached) in found.items():
        for longer in (d for d in WINDOWS if d > days and (*at, d) in found):
            assert found[(*at, longer)][0] == started
            assert found[(*at, longer)][1] >= reached


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds())
def test_curves_of_milestones_equal_a_recount(build: Build, world: World) -> None:
    found: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in build(world)["mart_survival_curve"]:
        if row["slice_dimension"] in ("total", "segment"):
            key = (row["subject"], row["slice_dimension"], row["slice_value"])
            found[key].append(row)
    lives = lives_of(world)
    assert found.keys() == lives.keys()
    for key, ends in lives.items():
        curve = oracle.kaplan_meier(
            ((row["observed_until"] - began).days, row["status"] == "reached")
            for began, row in ends
        )
        ours = sorted(found[key], key=lambda row: int(row["age_days"]))
        assert len(ours) == len(curve)
        for row, expected in zip(ours, curve, strict=True):
            assert {name: row[name] for name in expected} == pytest.approx(expected)
