"""Tickets, their open time, and what they say of accounts: compiled SQL against plain Python."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import oracle
import polars as pl
import pytest
import ravenstack
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from models import CompileModels, rows_of
from oracle import Policies, Row, World
from oracle_support import (
    WEEKDAYS,
    account_months,
    adoption_states,
    hours,
    in_minutes,
    open_time,
)
from rows import account, event, raw_row, subscription, ticket
from strategies import instants, worlds

AS_OF = date(2024, 12, 31)
OFFICE = ("09:00", "17:00")
WORKDAYS = WEEKDAYS[:5]
TICKETS = ("mart_support_tickets",)


def tickets(
    compile_models: CompileModels,
    rows: Sequence[Row],
    seed: Sequence[Row] | None = None,
    *,
    accounts: Sequence[Row] = (account("A"),),
    as_of: date = AS_OF,
    **variables: Any,
) -> dict[str, dict[str, Any]]:
    """The rows of mart_support_tickets by ticket."""
    models = compile_models(Policies(), TICKETS, **variables)
    seeds = {"seeds__business_hours": seed} if seed else {}
    world = World(as_of, accounts=accounts)
    with closing(models.build(world, support__tickets=rows, **seeds)) as database:
        return {row["ticket_id"]: row for row in rows_of(database, "mart_support_tickets")}


# An ordinary weekend, and those on which the clocks of the zone go forward and back; local times.
EXAMPLE_39 = [
    ("UTC", date(2024, 3, 8), 0, 0),
    ("Europe/Berlin", date(2024, 3, 8), 1, 1),
    ("Europe/Berlin", date(2024, 3, 29), 1, 2),
    ("Europe/Berlin", date(2024, 10, 25), 2, 1),
    ("America/New_York", date(2024, 3, 8), -5, -4),
    ("America/New_York", date(2024, 11, 1), -4, -5),
    ("Asia/Kolkata", date(2024, 3, 8), 5.5, 5.5),
    ("Australia/Lord_Howe", date(2024, 4, 5), 11, 10.5),
]


@pytest.mark.parametrize(("zone", "friday", "ahead_then", "ahead_after"), EXAMPLE_39)
def test_example_39_first_reply_over_a_weekend_is_thirty_minutes_of_business_hours(
    compile_models: CompileModels, zone: str, friday: date, ahead_then: float, ahead_after: float
) -> None:
    created = datetime.combine(friday, datetime.min.time()) + timedelta(
        hours=16 - ahead_then, minutes=50, seconds=30
    )
    replied = datetime.combine(friday, datetime.min.time()) + timedelta(
        days=3, hours=9 - ahead_after, minutes=20, seconds=30
    )
    seed = hours("default", zone, WORKDAYS, OFFICE)
    row = tickets(compile_models, [ticket("T", created, first_replied_at=replied)], seed)["T"]
    assert row["first_reply_business_minutes"] == Decimal(30)
    assert row["first_reply_minutes"] == in_minutes(replied - created)


def test_several_intervals_a_day_leave_the_lunch_break_out(compile_models: CompileModels) -> None:
    seed = hours("default", "UTC", WORKDAYS, ("09:00", "12:00"), ("13:00", "17:00"))
    monday = datetime(2024, 3, 4)
    row = tickets(
        compile_models,
        [
            ticket(
                "T",
                monday + timedelta(hours=11, minutes=30),
                first_replied_at=monday + timedelta(hours=12, minutes=30),
                solved_at=monday + timedelta(hours=13, minutes=30),
            )
        ],
        seed,
    )["T"]
    assert row["first_reply_business_minutes"] == 30
    assert row["resolution_business_minutes"] == 60
    assert (row["first_reply_minutes"], row["resolution_minutes"]) == (60, 120)


def test_the_clock_may_change_on_the_last_day_that_the_as_of_day_touches(
    compile_models: CompileModels,
) -> None:
    # In Los Angeles it is still Saturday when London, on Sunday at one, goes on to two.
    seed = hours("default", "Europe/London", ["sunday"], ("00:00", "05:00"))
    created, replied = datetime(2024, 3, 31, 0, 30), datetime(2024, 3, 31, 4, 30)
    row = tickets(
        compile_models,
        [ticket("T", created, first_replied_at=replied)],
        seed,
        as_of=date(2024, 3, 30),
        reporting_timezone="America/Los_Angeles",
    )["T"]
    assert row["first_reply_business_minutes"] == 210
    assert in_minutes(open_time(seed, "default", created, replied)) == 210


def test_a_calendar_that_never_closes_measures_the_time_that_passed(
    compile_models: CompileModels,
) -> None:
    seed = hours("default", "Europe/Berlin", WEEKDAYS, ("00:00", "24:00"))
    created, solved = datetime(2023, 1, 1, 0, 0, 1), datetime(2024, 12, 31, 23, 59, 59, 250_000)
    row = tickets(compile_models, [ticket("T", created, solved_at=solved)], seed)["T"]
    assert row["resolution_business_minutes"] == row["resolution_minutes"]
    assert row["resolution_minutes"] == in_minutes(solved - created)


def test_a_ticket_of_two_years_has_eight_hours_each_workday(compile_models: CompileModels) -> None:
    created, solved = datetime(2023, 1, 2), datetime(2024, 12, 30)  # Monday to Monday
    workdays = 5 * 104
    seed = hours("default", "America/New_York", WORKDAYS, OFFICE)
    row = tickets(compile_models, [ticket("T", created, solved_at=solved)], seed)["T"]
    assert row["resolution_business_minutes"] == 480 * workdays


def test_each_ticket_has_its_calendar_and_an_unknown_one_is_flagged(
    compile_models: CompileModels,
) -> None:
    seed = [
        *hours("default", "UTC", WORKDAYS, OFFICE),
        *hours("late", "UTC", WORKDAYS, ("17:00", "20:00")),
    ]
    monday = datetime(2024, 3, 4)
    replied = {"first_replied_at": monday + timedelta(days=1)}
    found = tickets(
        compile_models,
        [
            ticket("default", monday, calendar="default", **replied),
            ticket("none", monday, **replied),
            ticket("late", monday, calendar="late", **replied),
            ticket("unknown", monday, calendar="moon", **replied),
        ],
        seed,
    )
    told = {
        name: (row["calendar"], row["first_reply_business_minutes"]) for name, row in found.items()
    }
    assert told == {
        "default": ("default", 480),
        "none": ("default", 480),
        "late": ("late", 180),
        "unknown": ("default", 480),
    }
    assert [name for name, row in found.items() if row["is_of_unknown_calendar"]] == ["unknown"]


def test_what_has_not_happened_by_the_as_of_day_has_no_duration(
    compile_models: CompileModels,
) -> None:
    opened = datetime(2024, 12, 30, 9)
    found = tickets(
        compile_models,
        [
            ticket("new", opened),
            ticket("later", opened, first_replied_at=datetime(2025, 1, 1), status="solved")
            | {"solved_at": datetime(2025, 1, 2)},
            ticket("future", datetime(2025, 1, 1)),
        ],
    )
    assert found.keys() == {"new", "later"}
    for row in found.values():
        assert row["first_replied_at"] is None
        assert row["solved_at"] is None
        assert row["solved_date"] is None
        for name in ("first_reply", "resolution"):
            assert row[f"{name}_minutes"] is None
            assert row[f"{name}_business_minutes"] is None


def test_times_that_contradict_each_other_are_kept_flagged_and_measured_by_nobody(
    compile_models: CompileModels,
) -> None:
    signed_up = datetime(2024, 3, 1, 12)
    found = tickets(
        compile_models,
        [
            ticket("solved first", datetime(2024, 3, 5), solved_at=datetime(2024, 3, 4)),
            ticket("replied first", datetime(2024, 3, 5), first_replied_at=datetime(2024, 3, 4)),
            ticket("before sign-up", signed_up - timedelta(seconds=1), solved_at=signed_up),
            ticket("at sign-up", signed_up),
            ticket("nobody's", signed_up, account_id=None),
            ticket("stranger's", signed_up, account_id="X"),
        ],
        accounts=[account("A", signed_up_at=signed_up)],
    )
    flags = {
        name: {
            column for column, value in row.items() if column.startswith("is_") and value is True
        }
        for name, row in found.items()
    }
    assert flags == {
        "solved first": {"is_solved_before_created"},
        "replied first": {"is_replied_before_created"},
        "before sign-up": {"is_before_sign_up"},
        "at sign-up": set(),
        "nobody's": set(),
        "stranger's": {"is_of_unknown_account"},
    }
    solved, replied = found["solved first"], found["replied first"]
    assert solved["resolution_minutes"] is None
    assert solved["resolution_business_minutes"] is None
    assert replied["first_reply_minutes"] is None
    assert replied["first_reply_business_minutes"] is None
    assert found["before sign-up"]["resolution_minutes"] is not None
    assert solved["solved_at"]
    assert replied["first_replied_at"]
    assert found["nobody's"]["stage"] == found["stranger's"]["stage"] == "unknown"


def test_the_newest_version_of_a_ticket_counts(compile_models: CompileModels) -> None:
    opened = datetime(2024, 3, 4, 10)
    versions = [
        ticket("T", opened, updated_at=opened) | {"landing_date": date(2024, 3, 4)},
        ticket("T", opened, solved_at=opened + timedelta(hours=1), updated_at=datetime(2024, 3, 6))
        | {"landing_date": date(2024, 3, 6)},
        # Reopened: known later, although it landed earlier.
        ticket("T", opened, status="open", reopen_count=1, updated_at=datetime(2024, 3, 7))
        | {"landing_date": date(2024, 3, 5)},
    ]
    row = tickets(compile_models, versions)["T"]
    assert (row["status"], row["solved_at"], row["reopen_count"]) == ("open", None, 1)


def test_a_rating_off_the_scale_is_no_rating(compile_models: CompileModels) -> None:
    opened = datetime(2024, 3, 4, 10)
    found = tickets(
        compile_models,
        [
            ticket(str(score), opened, satisfaction_score=score)
            for score in (None, 0, 1, 3, 4, 5, 6)
        ],
    )
    told = {score: (row["is_rated"], row["is_satisfied"]) for score, row in found.items()}
    assert told == {
        "None": (False, None),
        "0": (False, None),
        "1": (True, False),
        "3": (True, False),
        "4": (True, True),
        "5": (True, True),
        "6": (False, None),
    }
    assert {name for name, row in found.items() if row["is_rated_off_scale"]} == {"0", "6"}


@pytest.mark.parametrize(
    ("day", "stage"),
    [
        (date(2024, 2, 29), "before_start"),
        (date(2024, 3, 1), "onboarding"),
        (date(2024, 5, 29), "onboarding"),
        (date(2024, 5, 30), "later"),
    ],
)
def test_an_onboarding_ticket_is_opened_within_ninety_days_of_the_start(
    compile_models: CompileModels, day: date, stage: str
) -> None:
    start = account("A", contract_start_date=date(2024, 3, 1))
    created = datetime.combine(day, datetime.max.time())
    assert tickets(compile_models, [ticket("T", created)], accounts=[start])["T"]["stage"] == stage


def test_statuses_can_be_excluded_and_priorities_named(compile_models: CompileModels) -> None:
    opened = datetime(2024, 3, 4, 10)
    rows = [
        ticket("spam", opened, status="Spam", priority="P1"),
        ticket("high", opened, priority="HIGH"),
        ticket("none", opened),
    ]
    found = tickets(compile_models, rows)
    assert [row["is_excluded"] for row in found.values()] == [False, False, False]
    assert {name for name, row in found.items() if row["is_high_priority"]} == {"high"}
    found = tickets(
        compile_models, rows, excluded_ticket_statuses="spam,merged", high_priorities="p1 , p2"
    )
    assert {name for name, row in found.items() if row["is_excluded"]} == {"spam"}
    assert {name for name, row in found.items() if row["is_high_priority"]} == {"spam"}


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
# Days on which the clocks of one of the zones change, and one on which none does.
DAYS = [date(2024, month, day) for month, day in [(3, 10), (3, 31), (4, 7), (10, 6), (10, 27)]]
DAYS += [date(2024, 11, 3), date(2024, 7, 3)]


@st.composite
def seeds(draw: st.DrawFn) -> list[Row]:
    """A default calendar in any zone: up to three intervals on each of some days, at any minute."""
    rows: list[Row] = []
    zone = draw(st.sampled_from(ZONES))
    for weekday in draw(st.sets(st.sampled_from(WEEKDAYS), min_size=1)):
        times = draw(
            st.lists(
                st.one_of(st.integers(0, 1440), st.integers(1, 8).map(lambda half: half * 30)),
                min_size=2,
                max_size=6,
                unique=True,
            )
        )
        clock = [f"{at // 60:02}:{at % 60:02}" for at in sorted(times)]
        rows += hours("default", zone, [weekday], *zip(clock[::2], clock[1::2], strict=False))
    return rows


@st.composite
def spans(draw: st.DrawFn) -> tuple[datetime, datetime]:
    day = datetime.combine(draw(st.sampled_from(DAYS)), datetime.min.time())
    start = day + timedelta(seconds=draw(st.integers(-86_400, 86_400)))
    length = draw(st.one_of(st.integers(0, 7_200), st.integers(0, 172_800)))
    return start, start + timedelta(seconds=length, microseconds=draw(st.integers(0, 999_999)))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=seeds(), chosen=st.lists(spans(), min_size=1, max_size=4))
@example(
    # The hour that Berlin skips, and the one that it shows twice.
    seed=hours("default", "Europe/Berlin", ["sunday"], ("01:30", "02:30"), ("02:45", "03:15")),
    chosen=[
        (datetime(2024, 3, 30, 23), datetime(2024, 3, 31, 4)),
        (datetime(2024, 10, 26, 23), datetime(2024, 10, 27, 4)),
        (datetime(2024, 10, 27, 0, 40), datetime(2024, 10, 27, 1, 20)),
    ],
)
def test_open_time_between_any_two_instants_is_what_every_minute_of_it_adds_up_to(
    compile_models: CompileModels, seed: list[Row], chosen: list[tuple[datetime, datetime]]
) -> None:
    rows = [
        ticket(str(index), start, first_replied_at=end, solved_at=end)
        for index, (start, end) in enumerate(chosen)
    ]
    found = tickets(compile_models, rows, seed)
    for index, (start, end) in enumerate(chosen):
        expected = in_minutes(open_time(seed, "default", start, end))
        assert found[str(index)]["first_reply_business_minutes"] == expected
        assert found[str(index)]["resolution_business_minutes"] == expected


MONTHS = ("mart_support_account_period",)


def month_of(
    compile_models: CompileModels, rows: Sequence[Row], month: date, **tables: Sequence[Row]
) -> dict[str, Any]:
    """The row of mart_support_account_period of account A in `month`; it signed up in 2023."""
    models = compile_models(Policies(), MONTHS)
    world = World(AS_OF, accounts=[account("A")])
    with closing(models.build(world, support__tickets=rows, **tables)) as database:
        [row] = [
            row
            for row in rows_of(database, "mart_support_account_period")
            if (row["account_id"], row["period_start"]) == ("A", month)
        ]
    return row


MARCH = date(2024, 3, 1)
IN_MARCH = datetime(2024, 3, 4, 10)


def test_example_29_ticket_csat_is_eight_good_of_ten_rated_however_many_were_offered(
    compile_models: CompileModels,
) -> None:
    scores = [5, 4] * 4 + [1, 3] + [None] * 25
    rows = [
        ticket(str(index), IN_MARCH, satisfaction_score=score) for index, score in enumerate(scores)
    ]
    row = month_of(compile_models, rows, MARCH)
    assert (row["tickets"], row["rated"], row["satisfied"]) == (35, 10, 8)
    assert row["ticket_csat"] == pytest.approx(0.8)
    # Wilson (1927), as statsmodels' proportion_confint tells it.
    assert row["ticket_csat_ci_low"] == pytest.approx(0.490162, abs=1e-4)
    assert row["ticket_csat_ci_high"] == pytest.approx(0.943318, abs=1e-4)


def test_a_version_without_updated_at_is_as_old_as_the_end_of_its_landing_day(
    compile_models: CompileModels,
) -> None:
    # That is 15:00 UTC in Tokyo.
    first = ticket("T", IN_MARCH, status="open", landing_date=date(2024, 3, 10))
    second = ticket("T", IN_MARCH, status="solved", landing_date=date(2024, 3, 11),
                    updated_at=datetime(2024, 3, 10, 20))  # fmt: skip
    found = tickets(compile_models, [first, second], reporting_timezone="Asia/Tokyo")
    assert found["T"]["status"] == "solved"


def test_a_priority_may_hold_an_apostrophe(compile_models: CompileModels) -> None:
    rows = [ticket("T", IN_MARCH, priority="don't wait"), ticket("U", IN_MARCH, priority="high")]
    found = tickets(compile_models, rows, high_priorities="don't wait, urgent")
    assert {name: row["is_high_priority"] for name, row in found.items()} == {"T": True, "U": False}


def test_without_a_rating_ticket_csat_is_null(compile_models: CompileModels) -> None:
    assert month_of(compile_models, [ticket("T", IN_MARCH)], MARCH)["ticket_csat"] is None


def test_example_37_contact_rate_is_tickets_over_active_users(
    compile_models: CompileModels,
) -> None:
    # A thousandth of the published case: 3,500 tickets, 100,000 active, 3.5 %.
    events = [event(f"E{user}", IN_MARCH, user_id=f"U{user}") for user in range(200)]
    rows = [ticket(str(index), IN_MARCH) for index in range(7)]
    row = month_of(compile_models, rows, MARCH, product__events=events)
    assert (row["tickets"], row["active_users"]) == (7, 200)
    assert row["tickets_per_active_user"] == pytest.approx(0.035)
    assert row["reason_null"] is None


def test_without_active_users_the_contact_rate_is_null(compile_models: CompileModels) -> None:
    row = month_of(compile_models, [ticket("T", IN_MARCH)], MARCH)
    assert (row["tickets"], row["tickets_per_active_user"]) == (1, None)
    assert row["reason_null"] == "no_active_users"


def test_fault_of_zendesk_summary_unreplied_tickets_are_counted_where_there_is_no_reply(
    compile_models: CompileModels,
) -> None:
    rows = [
        ticket("unreplied", IN_MARCH),
        ticket("unreplied and solved", IN_MARCH, solved_at=IN_MARCH + timedelta(days=1)),
        ticket("replied", IN_MARCH, first_replied_at=IN_MARCH),
    ]
    row = month_of(compile_models, rows, MARCH)
    assert (row["tickets"], row["unreplied_tickets"], row["timed_first_replies"]) == (3, 2, 1)
    assert row["median_first_reply_business_minutes"] == 0


def test_open_tickets_are_no_part_of_means_and_medians(compile_models: CompileModels) -> None:
    hour = timedelta(hours=1)
    rows = [
        ticket("one", IN_MARCH, solved_at=IN_MARCH + hour),
        ticket("two", IN_MARCH, solved_at=IN_MARCH + 2 * hour),
        ticket("six", IN_MARCH, solved_at=IN_MARCH + 6 * hour),
        ticket("open", IN_MARCH),
    ]
    row = month_of(compile_models, rows, MARCH)
    assert (row["timed_resolutions"], row["resolution_business_minutes"]) == (3, 540)
    assert row["mean_resolution_business_minutes"] == pytest.approx(180)
    assert row["median_resolution_business_minutes"] == pytest.approx(120)
    assert row["backlog"] == 1


def test_what_is_not_told_is_no_part_of_escalation_and_reopen_rates(
    compile_models: CompileModels,
) -> None:
    rows = [
        ticket("told", IN_MARCH, is_escalated=True, reopen_count=2),
        ticket("told too", IN_MARCH, is_escalated=False, reopen_count=0),
        ticket("not told", IN_MARCH),
    ]
    row = month_of(compile_models, rows, MARCH)
    assert (row["escalations"], row["escalation_rate"]) == (1, pytest.approx(0.5))
    assert (row["reopens"], row["reopened_tickets"], row["reopen_rate"]) == (
        2,
        1,
        pytest.approx(0.5),
    )


def test_a_new_account_is_not_flattered_by_the_days_before_it(
    compile_models: CompileModels,
) -> None:
    models = compile_models(Policies(), MONTHS)
    world = World(
        AS_OF,
        accounts=[account("old"), account("new", signed_up_at=datetime(2024, 3, 29))],
    )
    rows = [ticket(name, datetime(2024, 3, 30), account_id=name) for name in ("old", "new")]
    with closing(models.build(world, support__tickets=rows)) as database:
        rates = {
            row["account_id"]: (row["exposure_days"], row["ticket_rate"])
            for row in rows_of(database, "mart_support_account_period")
            if row["period_start"] == MARCH
        }
    assert rates == {"old": (31, pytest.approx(30 / 31)), "new": (3, pytest.approx(10))}


def test_without_a_tickets_export_nobody_has_asked_for_nothing(
    compile_models: CompileModels,
) -> None:
    models = compile_models(Policies(), STATES_AND_MONTHS)
    world = World(AS_OF, [subscription("S", date(2024, 1, 1))], [account("A")])
    with closing(models.build(world)) as database:
        for mart in STATES_AND_MONTHS:
            if mart.startswith("mart"):
                assert rows_of(database, mart) == []
        assert database.sql("from intermediate.int_support__slice_months").fetchall() == []
        assert not models.broken_identities(database)


STATES_AND_MONTHS = (
    "mart_support_account_period",
    "mart_support_adoption_state",
    "int_support__slice_months",
    "assert_every_paying_account_is_in_one_support_state",
    "assert_backlog_adds_up",
)


def state_of(
    compile_models: CompileModels, rows: Sequence[Row], events: Sequence[Row]
) -> dict[str, tuple[str, str, str]]:
    """Bands and state in March of accounts A to H, which pay since 2023."""
    names = "ABCDEFGH"
    models = compile_models(Policies(), STATES_AND_MONTHS)
    world = World(
        date(2024, 3, 31),
        [subscription(f"S{name}", date(2023, 6, 1), account_id=name) for name in names],
        [account(name) for name in names],
    )
    tables = {"support__tickets": rows, "product__events": events}
    with closing(models.build(world, **tables)) as database:
        assert not models.broken_identities(database)
        return {
            row["account_id"]: (row["ticket_band"], row["usage_band"], row["state"])
            for row in rows_of(database, "mart_support_adoption_state")
            if row["period_start"] == MARCH
        }


def test_the_four_states_and_unknown_usage_by_hand(compile_models: CompileModels) -> None:
    tickets_of = {"A": 0, "B": 9, "C": 9, "D": 0, "E": 1, "F": 1, "G": 1, "H": 1}
    events_of = {"A": 90, "B": 90, "C": 1, "D": 0, "E": 10, "F": 10, "G": 10}
    rows = [
        ticket(f"{name}{index}", IN_MARCH, account_id=name)
        for name, count in tickets_of.items()
        for index in range(count)
    ]
    events = [
        event(f"{name}{index}", IN_MARCH, account_id=name)
        for name, count in events_of.items()
        for index in range(count)
    ]
    # D was seen before March and is silent now; of H the export has never heard.
    events.append(event("D", datetime(2024, 2, 1), account_id="D"))
    assert state_of(compile_models, rows, events) == {
        "A": ("low", "high", "quiet_healthy"),
        "B": ("high", "high", "noisy_engaged"),
        "C": ("high", "low", "noisy_struggling"),
        "D": ("low", "low", "quiet_disengaged"),
        "E": ("normal", "normal", "quiet_healthy"),
        "F": ("normal", "normal", "quiet_healthy"),
        "G": ("normal", "normal", "quiet_healthy"),
        "H": ("normal", "unknown", "unknown_usage"),
    }


def test_where_all_are_alike_nobody_is_high_or_low(compile_models: CompileModels) -> None:
    rows = [ticket(name, IN_MARCH, account_id=name) for name in "ABCDEFGH"]
    events = [event(name, IN_MARCH, account_id=name) for name in "ABCDEFGH"]
    found = state_of(compile_models, rows, events)
    assert set(found.values()) == {("normal", "normal", "quiet_healthy")}


@st.composite
def asked_and_used(draw: st.DrawFn) -> tuple[World, list[Row], list[Row]]:
    """A random world with tickets and events of its accounts, of a stranger and of nobody."""
    world = draw(worlds())
    names = sorted({row["account_id"] for row in world.subscriptions}) or ["A"]
    rows: list[Row] = []
    for index in range(draw(st.integers(0, 12))):
        created = draw(instants())
        later = st.one_of(st.none(), st.integers(-3, 60).map(lambda days: timedelta(days=days)))
        replied, solved = draw(later), draw(later)
        rows.append(
            ticket(
                f"T{index}",
                created,
                account_id=draw(st.sampled_from([*names * 3, "stranger", None])),
                first_replied_at=created + replied if replied is not None else None,
                solved_at=created + solved if solved is not None else None,
                priority=draw(st.sampled_from(["low", "urgent", "high", None])),
                is_escalated=draw(st.sampled_from([True, False, None])),
                reopen_count=draw(st.sampled_from([0, 1, 3, None])),
                satisfaction_score=draw(st.sampled_from([None, 0, 1, 3, 4, 5])),
            )
        )
    events: list[Row] = [
        event(f"E{index}", draw(instants()), account_id=draw(st.sampled_from([*names, "stranger"])))
        for index in range(draw(st.integers(0, 12)))
    ]
    return world, rows, events


@pytest.mark.parametrize(
    "policies",
    [
        Policies(),
        Policies(gap_tolerance_days=0, reporting_timezone="America/New_York"),
    ],
    ids=["defaults", "no tolerance, New York"],
)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=asked_and_used())
def test_months_slices_and_states_of_random_worlds_agree_with_the_oracle(
    policies: Policies, compile_models: CompileModels, drawn: tuple[World, list[Row], list[Row]]
) -> None:
    world, rows, events = drawn
    models = compile_models(policies, STATES_AND_MONTHS, min_quartile_accounts=2)
    book = oracle.keep_book(world, policies)
    with closing(models.build(world, support__tickets=rows, product__events=events)) as database:
        assert not models.broken_identities(database)
        months = pl.DataFrame(database.sql("from intermediate.int_support__account_months"))
        states = {
            (row["account_id"], row["period_start"]): (
                row["ticket_band"],
                row["usage_band"],
                row["state"],
            )
            for row in rows_of(database, "mart_support_adoption_state")
        }
        slices = pl.DataFrame(database.sql("from intermediate.int_support__slice_months"))
    expected = account_months(book, rows) if rows else {}
    found = {
        (row["account_id"], row["period_start"]): {
            name: row[name] for name in next(iter(expected.values()), {})
        }
        for row in months.to_dicts()
    }
    assert found == expected
    assert states == (adoption_states(book, rows, events, least=2) if rows else {})
    names = list(next(iter(expected.values()), {}))
    totals = Counter[tuple[date, str]]()
    for (_, month), measures in expected.items():
        totals.update({(month, name): measures[name] for name in names})
    for row in (
        slices.group_by("slice_dimension", "period_start").agg(pl.col(names).sum()).to_dicts()
    ):
        for name in names:
            assert row[name] == totals[row["period_start"], name], row["slice_dimension"]


def onboarding(account_id: str, *required: tuple[str, int | None, int], start: date) -> list[Row]:
    """Rows of derived onboarding_milestones: (status, days_to_reach, target_days) of each."""
    return [
        {
            "account_id": account_id,
            "milestone": str(index),
            "status": status,
            "days_to_reach": days,
            "target_days": target,
            "is_required": True,
            "started_at": datetime.combine(start, datetime.min.time()),
            "reached_at": None,
            "started_date": start,
            "observed_until": start,
        }
        for index, (status, days, target) in enumerate(required)
    ]


def test_onboarding_tickets_stand_against_how_onboarding_ended(
    compile_models: CompileModels,
) -> None:
    start, young = date(2024, 3, 1), date(2024, 12, 1)
    ends: dict[str, list[tuple[str, int | None, int]]] = {
        "quick": [("reached", 3, 7), ("reached", 14, 14)],
        "late": [("reached", 3, 7), ("reached", 15, 14)],
        "lost": [("reached", 3, 7), ("churned_before", None, 14)],
        "open": [("reached", 3, 7), ("overdue", None, 14)],
        "asker": [("reached", 3, 7), ("reached", 9, 14)],
    }
    milestones = [
        row for name, rows in ends.items() for row in onboarding(name, *rows, start=start)
    ]
    milestones += onboarding("young", ("in_progress", None, 14), start=young)
    accounts = [account(name, contract_start_date=start) for name in ends]
    accounts.append(account("young", contract_start_date=young))
    rows = [ticket(f"asker{index}", IN_MARCH, account_id="asker") for index in range(5)]
    rows += [ticket("late", IN_MARCH, account_id="late"), ticket("after", datetime(2024, 8, 1))]
    models = compile_models(Policies(), ("mart_support_onboarding",))
    with closing(
        models.build(
            World(AS_OF, accounts=accounts),
            support__tickets=rows,
            derived__onboarding_milestones=milestones,
        )
    ) as database:
        found = rows_of(database, "mart_support_onboarding")
    assert len(found) == 2 * 4 * 4
    told = {
        (row["is_window_over"], row["ticket_band"], row["outcome"]): row
        for row in found
        if row["accounts"]
    }
    assert {key: (row["accounts"], row["accounts_of_band"]) for key, row in told.items()} == {
        (True, "0", "completed_in_target"): (1, 3),
        (True, "0", "left"): (1, 3),
        (True, "0", "open"): (1, 3),
        (True, "1-2", "completed_late"): (1, 1),
        (True, "5+", "completed_in_target"): (1, 1),
        (False, "0", "open"): (1, 1),
    }
    third = told[True, "0", "left"]
    assert third["outcome_rate"] == pytest.approx(1 / 3)
    # Wilson (1927) at one of three.
    assert (third["ci_low"], third["ci_high"]) == (
        pytest.approx(0.0615, abs=1e-4),
        pytest.approx(0.7923, abs=1e-4),
    )
    empty = next(
        row for row in found if (row["is_window_over"], row["ticket_band"]) == (True, "3-4")
    )
    assert (empty["accounts"], empty["outcome_rate"], empty["ci_low"]) == (0, None, None)


@pytest.mark.skipif(ravenstack.folder() is None, reason="REFERENCE_DATA is not set")
def test_ravenstack_tickets_equal_a_plain_count(compile_models: CompileModels) -> None:
    rows = ravenstack.read("support_tickets")
    raw = {f"ravenstack__{name}": ravenstack.raw(name) for name in ("accounts", "support_tickets")}
    models = compile_models(Policies(), TICKETS)
    with closing(models.build(World(ravenstack.AS_OF), **raw)) as database:
        found = {row["ticket_id"]: row for row in rows_of(database, "mart_support_tickets")}
    assert found.keys() == {row["ticket_id"] for row in rows}
    assert len(found) == len(rows)
    signed_up = {row["account_id"]: row["signup_date"] for row in ravenstack.read("accounts")}
    for row in rows:
        ours = found[row["ticket_id"]]
        created = datetime.fromisoformat(row["submitted_at"])
        closed = datetime.fromisoformat(row["closed_at"]) if row["closed_at"] else None
        assert ours["first_reply_minutes"] == Decimal(row["first_response_time_minutes"])
        assert ours["resolution_minutes"] == (in_minutes(closed - created) if closed else None)
        assert ours["is_before_sign_up"] == (row["submitted_at"] < signed_up[row["account_id"]])
        assert ours["is_escalated"] == (row["escalation_flag"] == "True")
        assert ours["is_high_priority"] == (row["priority"] in ("high", "urgent"))
        assert ours["is_rated"] == bool(row["satisfaction_score"])
    assert sum(row["is_before_sign_up"] for row in found.values()) == 1077


@pytest.mark.parametrize("minutes", [1e13, -1e13, 1e308])
def test_a_reply_after_more_than_a_life_is_none(
    compile_models: CompileModels, minutes: float
) -> None:
    told = raw_row(
        "ravenstack__support_tickets",
        ticket_id="T",
        account_id="A",
        submitted_at=datetime(2024, 3, 1),
        first_response_time_minutes=minutes,
    )
    models = compile_models(Policies(), TICKETS)
    with closing(models.build(World(date(2024, 3, 9)), ravenstack__support_tickets=[told])) as db:
        [row] = rows_of(db, "mart_support_tickets")
    assert row["first_reply_minutes"] is None


@pytest.mark.skipif(ravenstack.folder() is None, reason="REFERENCE_DATA is not set")
def test_ravenstack_months_and_csat_equal_a_plain_count(compile_models: CompileModels) -> None:
    rows = ravenstack.read("support_tickets")
    tables = ("accounts", "subscriptions", "support_tickets", "feature_usage")
    raw = {f"ravenstack__{name}": ravenstack.raw(name) for name in tables}
    models = compile_models(Policies(), STATES_AND_MONTHS)
    with closing(models.build(World(ravenstack.AS_OF), **raw)) as database:
        assert not models.broken_identities(database)
        found = {
            (row["account_id"], row["period_start"]): row["tickets"]
            for row in rows_of(database, "mart_support_account_period")
            if row["tickets"]
        }
        [(satisfied, rated)] = database.sql(
            "select sum(satisfied), sum(rated) from intermediate.int_support__slice_months"
            " where slice_dimension = 'total'"
        ).fetchall()
        [(states, paying)] = database.sql(
            "select (select count(*) from marts.mart_support_adoption_state),"
            " (select sum(closing_accounts) from intermediate.int_revenue__account_months)"
        ).fetchall()
    opened = Counter(
        (row["account_id"], date.fromisoformat(row["submitted_at"][:7] + "-01")) for row in rows
    )
    scores = [float(row["satisfaction_score"]) for row in rows if row["satisfaction_score"]]
    assert found == opened
    assert (satisfied, rated) == (sum(score >= 4 for score in scores), len(scores))
    assert 100 * satisfied / rated == pytest.approx(66.2979, abs=5e-5)
    assert states == paying > 0


BAD_HOURS = {
    "no such time zone: Mars/Base": hours("default", "Mars/Base", ["monday"], OFFICE),
    "a calendar has one time zone, not Europe/Berlin, UTC": [
        *hours("default", "UTC", ["monday"], OFFICE),
        *hours("default", "Europe/Berlin", ["tuesday"], OFFICE),
    ],
    "this interval begins before the one before it has ended: 16:59": hours(
        "default", "UTC", ["monday"], OFFICE, ("16:59", "18:00")
    ),
    "opens_at and closes_at must be times of one day, the opening first: 22:00 to 06:00": hours(
        "default", "UTC", ["monday"], ("22:00", "06:00")
    ),
    "opens_at and closes_at must be times of one day, the opening first: 09:00 to 25:00": hours(
        "default", "UTC", ["monday"], ("09:00", "25:00")
    ),
    "the weekday must be an English day name in lower case": hours(
        "default", "UTC", ["Montag"], OFFICE
    ),
    "the policy default_calendar names a calendar that is not in the seed": hours(
        "night", "UTC", ["monday"], OFFICE
    ),
}


@pytest.mark.parametrize(("sentence", "seed"), BAD_HOURS.items(), ids=BAD_HOURS.keys())
def test_business_hours_that_make_no_sense_fail_in_a_sentence(
    compile_models: CompileModels, sentence: str, seed: list[Row]
) -> None:
    assert [problem for *_, problem in problems_of(compile_models, seed)] == [sentence]


def test_business_hours_that_touch_and_end_at_midnight_make_sense(
    compile_models: CompileModels,
) -> None:
    assert not problems_of(compile_models)
    touching = hours("default", "UTC", ["monday"], ("00:00", "12:00"), ("12:00", "24:00"))
    assert not problems_of(compile_models, touching)


def problems_of(
    compile_models: CompileModels, seed: Sequence[Row] | None = None
) -> list[tuple[Any, ...]]:
    """What the test of the seed says of `seed`, or of the one that is shipped."""
    models = compile_models(Policies(), ("assert_business_hours_make_sense",))
    seeds = {"seeds__business_hours": seed} if seed else {}
    with closing(models.build(World(AS_OF), **seeds)) as database:
        return models.broken_identities(database).get("assert_business_hours_make_sense", [])
