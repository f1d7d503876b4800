"""Contacts per account and month, against a recount in plain Python, and the cases that go wrong.

The recount looks at each account, month and thread anew, in loops; it shares no step with the SQL.
"""

from collections.abc import Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Any

import oracle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import CompileModels, rows_of
from oracle import Book, Policies, World, next_month
from rows import Row, account, ledger_line, subscription, touch

NAMES = ("mart_contacts_account_period", "int_contacts__slice_months")
KINDS = ("call", "email", "meeting")
MARCH, APRIL, MAY = date(2024, 3, 1), date(2024, 4, 1), date(2024, 5, 1)
TENTH_OF_MAY = date(2024, 5, 10)


def answer(touchpoint_id: str, at: date | datetime, **columns: Any) -> Row:
    return touch(touchpoint_id, at, direction="outbound", **columns)


def months_of(
    compile_models: CompileModels,
    touches: Sequence[Row],
    world: World | None = None,
    policies: Policies | None = None,
    **tables: Any,
) -> dict[tuple[str, date], Row]:
    """mart_contacts_account_period by account and month."""
    world = world or World(TENTH_OF_MAY, accounts=[account("A")])
    models = compile_models(policies or Policies(), NAMES)
    with closing(models.build(world, communications__touchpoints=touches, **tables)) as database:
        rows = rows_of(database, "mart_contacts_account_period")
    found = {(row["account_id"], row["period_start"]): row for row in rows}
    assert len(found) == len(rows)
    return found


# What counts as a contact


def test_automated_mail_is_no_contact_and_mail_of_unknown_origin_is(
    compile_models: CompileModels,
) -> None:
    touches = [
        touch("by-machine", MARCH, is_automated=True),
        touch("by-somebody", APRIL, is_automated=False),
        touch("by-nobody-said", APRIL, is_automated=None),
    ]
    found = months_of(compile_models, touches)
    assert sorted(found) == [("A", APRIL), ("A", MAY)]
    assert found["A", APRIL]["emails_in"] == 2
    assert found["A", MAY]["touches_90d"] == 2


def test_a_machine_s_acknowledgement_answers_nothing(compile_models: CompileModels) -> None:
    touches = [
        touch("q", datetime(2024, 3, 5, 10), thread_id="t"),
        answer("auto", datetime(2024, 3, 5, 10, 1), thread_id="t", is_automated=True),
        answer("person", datetime(2024, 3, 7, 10), thread_id="t"),
    ]
    assert months_of(compile_models, touches)["A", MARCH]["response_hours"] == 48


def test_a_paying_account_that_nobody_contacts_has_a_row_of_zeros(
    compile_models: CompileModels,
) -> None:
    world = World(
        TENTH_OF_MAY,
        accounts=[account("A"), account("Q")],
        subscriptions=[subscription("s", date(2023, 1, 1), account_id="Q")],
    )
    found = months_of(compile_models, [touch("1", APRIL)], world)
    assert sorted(found) == [("A", APRIL), ("A", MAY), ("Q", APRIL), ("Q", MAY)]
    quiet = found["Q", MAY]
    assert (quiet["is_paying"], quiet["touches"], quiet["touches_90d"]) == (True, 0, 0)
    assert (quiet["mrr"], quiet["last_touch_days"], quiet["last_touch_at"]) == (100, None, None)


def test_nothing_is_said_of_months_before_the_export_knows_of_anything(
    compile_models: CompileModels,
) -> None:
    world = World(
        TENTH_OF_MAY,
        accounts=[account("A")],
        subscriptions=[subscription("s", date(2023, 1, 1))],
    )
    assert min(month for _, month in months_of(compile_models, [touch("1", APRIL)], world)) == APRIL
    assert months_of(compile_models, [], world) == {}


def test_an_export_that_stopped_landing_says_that_its_zeros_are_not_covered(
    compile_models: CompileModels,
) -> None:
    last = date(2024, 4, 30)
    ledger = [
        ledger_line("crm/accounts", TENTH_OF_MAY),
        ledger_line("communications/touchpoints", last),
    ]
    touches = [touch("1", APRIL, landing_date=last)]
    found = months_of(compile_models, touches, lake__extractions=ledger)
    assert {month: row["is_covered"] for (_, month), row in found.items()} == {
        APRIL: True,
        MAY: False,
    }


# How fast an e-mail is answered


def test_every_question_is_timed_to_the_next_outbound_contact_of_its_own_thread(
    compile_models: CompileModels,
) -> None:
    touches = [
        touch("q1", datetime(2024, 3, 5, 10), thread_id="t"),
        touch("q2", datetime(2024, 3, 5, 16), thread_id="t"),
        answer("elsewhere", datetime(2024, 3, 5, 17), thread_id="u"),
        answer("a", datetime(2024, 3, 6, 10), thread_id="t"),
        answer("later", datetime(2024, 3, 9, 10), thread_id="t"),
    ]
    row = months_of(compile_models, touches)["A", MARCH]
    assert (row["answered_emails"], row["response_hours"]) == (2, (24 + 18) / 2)


def test_a_question_without_an_answer_is_counted_and_not_averaged(
    compile_models: CompileModels,
) -> None:
    touches = [
        touch("q1", datetime(2024, 3, 5, 10), thread_id="t"),
        answer("a1", datetime(2024, 3, 5, 12), thread_id="t"),
        touch("q2", datetime(2024, 3, 20, 10), thread_id="t"),
        touch("no-thread", datetime(2024, 3, 21, 10)),
        touch("call", datetime(2024, 3, 21, 10), kind="call", thread_id="t"),
    ]
    row = months_of(compile_models, touches)["A", MARCH]
    assert (row["answered_emails"], row["unanswered_emails"], row["emails_in"]) == (1, 1, 3)
    assert (row["response_hours"], row["email_answer_rate"]) == (2, 0.5)


@pytest.mark.parametrize("minutes", [-60, 0])
def test_a_reply_before_or_at_the_instant_of_the_question_does_not_answer_it(
    compile_models: CompileModels, minutes: int
) -> None:
    asked = datetime(2024, 3, 5, 10)
    touches = [
        touch("q", asked, thread_id="t"),
        answer("a", asked + timedelta(minutes=minutes), thread_id="t"),
    ]
    row = months_of(compile_models, touches)["A", MARCH]
    assert (row["answered_emails"], row["unanswered_emails"]) == (0, 1)
    assert row["response_hours"] is None


def test_an_answer_in_the_next_month_is_dated_by_its_question(
    compile_models: CompileModels,
) -> None:
    touches = [
        touch("q", datetime(2024, 3, 31, 12), thread_id="t"),
        answer("a", datetime(2024, 4, 1, 12), thread_id="t"),
    ]
    found = months_of(compile_models, touches)
    assert (found["A", MARCH]["answered_emails"], found["A", MARCH]["response_hours"]) == (1, 24)
    assert found["A", APRIL]["response_hours"] is None


def test_two_accounts_that_share_a_thread_id_do_not_answer_each_other(
    compile_models: CompileModels,
) -> None:
    touches = [
        touch("q", datetime(2024, 3, 5, 10), thread_id="t"),
        answer("a", datetime(2024, 3, 6, 10), account_id="B", thread_id="t"),
    ]
    found = months_of(compile_models, touches)
    assert found["A", MARCH]["unanswered_emails"] == 1
    assert found["A", MARCH]["two_way_share"] == found["B", MARCH]["two_way_share"] == 0


# Bad input


def test_contacts_of_an_unknown_account_are_kept_flagged_and_sliced_as_unknown(
    compile_models: CompileModels,
) -> None:
    models = compile_models(Policies(), NAMES)
    world = World(TENTH_OF_MAY, accounts=[account("A")])
    touches = [touch("1", APRIL), touch("2", APRIL, account_id="stranger")]
    with closing(models.build(world, communications__touchpoints=touches)) as database:
        flags = {
            row["account_id"]: row["is_in_accounts_export"]
            for row in rows_of(database, "mart_contacts_account_period")
        }
        sums = database.sql(
            "select slice_dimension, slice_value, touches"
            " from intermediate.int_contacts__slice_months"
            f" where period_start = date '{APRIL}' and slice_dimension in ('total', 'segment')"
        ).fetchall()
    assert flags == {"A": True, "stranger": False}
    assert sorted(sums) == [("segment", "mid", 1), ("segment", "unknown", 1), ("total", "all", 2)]


def test_a_sentiment_off_its_scale_is_left_out_and_its_contact_stays(
    compile_models: CompileModels,
) -> None:
    touches = [
        touch("1", APRIL, sentiment=0.5),
        touch("2", APRIL, sentiment=80.0),
        touch("3", APRIL, sentiment=-1.0),
    ]
    row = months_of(compile_models, touches)["A", APRIL]
    assert (row["touches"], row["sentiment_touches"], row["sentiment"]) == (3, 2, -0.25)


def test_what_happens_after_the_as_of_day_has_not_happened(compile_models: CompileModels) -> None:
    touches = [
        touch("q", datetime(2024, 5, 10, 23), thread_id="t"),
        answer("a", datetime(2024, 5, 11, 1), thread_id="t"),
    ]
    found = months_of(compile_models, touches)
    assert list(found) == [("A", MAY)]
    row = found["A", MAY]
    assert (row["touches"], row["unanswered_emails"], row["last_touch_days"]) == (1, 1, 0)


# The recount


def recount(book: Book, touches: Sequence[Row]) -> dict[tuple[str, date], Row]:
    """mart_contacts_account_period by account and month, where all landed on the as-of day."""
    calendar, as_of = book.calendar, book.world.as_of
    human = [
        row
        for row in touches
        if row["is_automated"] is not True and row["occurred_at"] < calendar.end
    ]
    if not touches:
        return {}
    first = min([calendar.month(row["occurred_at"]) for row in human] + [as_of.replace(day=1)])
    months = [first]
    while next_month(months[-1]) <= as_of:
        months.append(next_month(months[-1]))
    accounts = {row["account_id"] for row in human} | {name for name, _ in book.states}
    known = {row["account_id"] for row in book.world.accounts}
    rows = {}
    for name in accounts:
        own = [row for row in human if row["account_id"] == name]
        for month in months:
            close, last_day = calendar.close(month), calendar.last_day(month)
            before = [row for row in own if row["occurred_at"] < close]
            opening, state = book.opening(name, month), book.closing(name, month)
            if not before and not opening.is_customer and not state.is_customer:
                continue
            here = [row for row in before if calendar.month(row["occurred_at"]) == month]
            recent = [
                row for row in before if (last_day - calendar.day(row["occurred_at"])).days < 90
            ]
            waits = []
            for row in here:
                if row["kind"] == "email" and row["direction"] == "inbound" and row["thread_id"]:
                    later = [
                        reply["occurred_at"] - row["occurred_at"]
                        for reply in own
                        if reply["direction"] == "outbound"
                        and reply["thread_id"] == row["thread_id"]
                        and reply["occurred_at"] > row["occurred_at"]
                    ]
                    waits.append(min(later, default=None))
            answered = [wait / timedelta(hours=1) for wait in waits if wait is not None]
            sides: dict[str, set[str]] = {}
            for row in recent:
                if row["thread_id"]:
                    sides.setdefault(row["thread_id"], set()).add(row["direction"])
            moods = [row["sentiment"] for row in here if row["sentiment"] is not None]
            last = max((row["occurred_at"] for row in before), default=None)

            def count(rows: Sequence[Row], **wanted: str) -> int:
                return sum(all(row[k] == v for k, v in wanted.items()) for row in rows)

            rows[name, month] = {
                "mrr": book.closing_mrr(name, month) if name in book.spells else 0,
                "is_paying": state.is_customer,
                "is_in_accounts_export": name in known,
                "is_covered": True,
                "is_complete_period": calendar.is_complete(month),
                "touches": len(here),
                "calls": count(here, kind="call"),
                "emails_in": count(here, kind="email", direction="inbound"),
                "emails_out": count(here, kind="email", direction="outbound"),
                "meetings": count(here, kind="meeting"),
                "answered_emails": len(answered),
                "unanswered_emails": len(waits) - len(answered),
                "response_hours": sum(answered) / len(answered) if answered else None,
                "email_answer_rate": len(answered) / len(waits) if waits else None,
                "sentiment_touches": len(moods),
                "sentiment": sum(moods) / len(moods) if moods else None,
                "touches_90d": len(recent),
                "inbound_touches_90d": count(recent, direction="inbound"),
                "outbound_touches_90d": count(recent, direction="outbound"),
                **{
                    f"{kind}s_{side[:-5]}_90d": count(recent, kind=kind, direction=side)
                    for kind in KINDS
                    for side in ("inbound", "outbound")
                },
                "threads_90d": len(sides),
                "two_way_threads_90d": sum(len(found) == 2 for found in sides.values()),
                "two_way_share": sum(len(found) == 2 for found in sides.values()) / len(sides)
                if sides
                else None,
                "last_touch_at": last,
                "last_inbound_at": max(
                    (r["occurred_at"] for r in before if r["direction"] == "inbound"), default=None
                ),
                "last_touch_date": calendar.day(last) if last else None,
                "last_touch_days": (last_day - calendar.day(last)).days if last else None,
                "period_end": next_month(month),
            }
    return rows


@st.composite
def contact_worlds(draw: st.DrawFn) -> tuple[World, list[Row]]:
    """Three known accounts, two of which may pay, and a stranger; instants tie now and then."""
    as_of = draw(st.sampled_from([date(2024, 4, 30), date(2024, 5, 10), date(2024, 7, 1)]))
    subscriptions = [
        subscription(
            f"S-{name}",
            draw(st.dates(date(2023, 12, 1), date(2024, 4, 20))),
            draw(st.one_of(st.none(), st.dates(date(2024, 4, 21), date(2024, 7, 5)))),
            account_id=name,
        )
        for name in draw(st.sets(st.sampled_from("AB")))
    ]
    touches = [
        touch(
            f"t{index}",
            datetime(2023, 12, 30) + timedelta(hours=draw(st.integers(0, 24 * 190))),
            draw(st.sampled_from(["A", "A", "B", "C", "stranger"])),
            kind=draw(st.sampled_from(["call", "email", "email", "email", "meeting"])),
            direction=draw(st.sampled_from(["inbound", "outbound"])),
            thread_id=draw(st.sampled_from([None, "t", "t", "u"])),
            is_automated=draw(st.sampled_from([None, False, False, True])),
            sentiment=draw(st.sampled_from([None, None, -1.0, 0.25, 0.5])),
        )
        for index in range(draw(st.integers(0, 14)))
    ]
    if len(touches) > 1 and draw(st.booleans()):
        touches[1]["occurred_at"] = touches[0]["occurred_at"]
    accounts = [account("A"), account("B", segment=None), account("C", country="FR")]
    return World(as_of, accounts=accounts, subscriptions=subscriptions), touches


@pytest.mark.parametrize(("zone", "examples"), [("UTC", 20), ("America/New_York", 8)])
def test_contact_months_equal_a_recount_and_slices_sum_to_the_total(
    compile_models: CompileModels, zone: str, examples: int
) -> None:
    policies = Policies(reporting_timezone=zone)
    models = compile_models(policies, NAMES)

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(contact_worlds())
    def check(case: tuple[World, list[Row]]) -> None:
        world, touches = case
        expected = recount(oracle.keep_book(world, policies), touches)
        with closing(models.build(world, communications__touchpoints=touches)) as database:
            rows = rows_of(database, "mart_contacts_account_period")
            slices = database.sql(
                "select slice_dimension, period_start, sum(paying_accounts), sum(touches),"
                " sum(response_seconds), sum(sentiment_sum), sum(threads_90d),"
                " sum(contacted_paying_accounts)"
                " from intermediate.int_contacts__slice_months group by all"
            ).fetchall()
        assert {(row["account_id"], row["period_start"]) for row in rows} == set(expected)
        for row in rows:
            for name, value in expected[row["account_id"], row["period_start"]].items():
                assert row[name] == (
                    pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
                ), (name, row)
        by_dimension: dict[str, set[Any]] = {}
        for dimension, *sums in slices:
            by_dimension.setdefault(dimension, set()).add(tuple(sums))
        assert all(sums == by_dimension["total"] for sums in by_dimension.values())
        paying = {
            (month, sum(row["is_paying"] for row in rows if row["period_start"] == month))
            for month in {row["period_start"] for row in rows}
        }
        assert paying == {(month, count) for month, count, *_ in by_dimension.get("total", ())}

    check()
