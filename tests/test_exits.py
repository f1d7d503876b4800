"""Who left and why: the register of ended spells, reasons and destinations, against a recount.

The recount takes the paid spells of the revenue oracle and reads everything else off the rows of
the exports, one spell at a time; it shares no step with the SQL.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Any

import oracle
import pytest
import ravenstack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import CompileModels, rows_of
from oracle import Book, Policies, World, next_month
from rows import Row, account, cancellation, event, subscription, touch
from strategies import worlds

NAMES = (
    "mart_exit_register",
    "mart_churn_reasons",
    "mart_switched_to",
    "fct_mrr_movements",
    "int_retention__exit_slice_months",
)
AS_OF = date(2024, 6, 30)


def said(cancelled: date | datetime, reason: str | None, **columns: Any) -> Row:
    return cancellation(cancelled, reason_code=reason, **columns)


def marts(
    compile_models: CompileModels, world: World, policies: Policies | None = None, **tables: Any
) -> dict[str, list[Row]]:
    models = compile_models(policies or Policies(), NAMES)
    with closing(models.build(world, **tables)) as database:
        return {name: rows_of(database, name) for name in NAMES if name.startswith(("mart", "fct"))}


def left_in_may(*cancellations: Row, **columns: Any) -> World:
    """A paid 100 from January until the 10th of May."""
    return World(
        AS_OF,
        accounts=[account("A")],
        subscriptions=[subscription("s", date(2024, 1, 1), date(2024, 5, 10), **columns)],
        cancellations=cancellations,
    )


# What the register says


def test_an_exit_tells_why_where_to_and_what_it_took_along(compile_models: CompileModels) -> None:
    world = left_in_may(
        said(date(2024, 5, 8), "competitor", competitor="Contrivia", is_voluntary=True)
    )
    [row] = marts(compile_models, world)["mart_exit_register"]
    told = {name: row[name] for name in ("reason_code", "destination", "ending", "mrr_lost")}
    assert told == {
        "reason_code": "competitor",
        "destination": "Contrivia",
        "ending": "voluntary",
        "mrr_lost": 100,
    }
    assert (row["tenure_days"], row["plan_tier_at_exit"], row["segment"]) == (130, "basic", "mid")
    assert (row["is_reason_known"], row["is_destination_known"]) == (True, True)
    assert (row["winback_at"], row["winback_mrr"], row["last_touch_days"]) == (None, None, None)


def test_the_last_health_is_of_the_local_month_in_which_the_spell_began(
    compile_models: CompileModels,
) -> None:
    # In New York the spell began on the 31st of January, so that month's close is its own.
    world = World(
        AS_OF,
        accounts=[account("A")],
        subscriptions=[subscription("s", datetime(2024, 2, 1, 2), date(2024, 2, 20))],
    )
    models = compile_models(Policies(), NAMES, reporting_timezone="America/New_York")
    with closing(models.build(world)) as database:
        [row] = rows_of(database, "mart_exit_register")
    assert row["last_health_band"] is not None


@pytest.mark.parametrize("reason", [None, "unknown", "Unknown"])
def test_an_unknown_reason_is_kept_and_known_to_be_unknown(
    compile_models: CompileModels, reason: str | None
) -> None:
    found = marts(compile_models, left_in_may(said(date(2024, 5, 10), reason)))
    [row] = found["mart_exit_register"]
    assert (row["reason_code"], row["is_reason_known"]) == (reason or "unknown", False)
    [total] = [r for r in found["mart_churn_reasons"] if r["slice_dimension"] == "total"]
    assert (total["exits"], total["exits_of_slice_with_reason"]) == (1, 0)


def test_a_spell_that_nobody_cancelled_has_left_for_an_unknown_reason(
    compile_models: CompileModels,
) -> None:
    found = marts(compile_models, left_in_may())
    [row] = found["mart_exit_register"]
    assert (row["reason_code"], row["destination"], row["ending"]) == ("unknown",) * 3
    [switched] = found["mart_switched_to"]
    assert (switched["destination"], switched["accounts"], switched["mrr_lost"]) == (
        "unknown",
        1,
        100,
    )


def test_dunning_is_involuntary_whatever_the_cancellation_says(
    compile_models: CompileModels,
) -> None:
    world = World(
        AS_OF,
        accounts=[account("A")],
        subscriptions=[
            subscription("s", date(2024, 1, 1), date(2024, 3, 1)),
            subscription(
                "s", date(2024, 3, 1), status="past_due", past_due_since=datetime(2024, 3, 1)
            ),
        ],
        cancellations=[said(date(2024, 3, 31), "payment_failed", is_voluntary=True)],
    )
    [row] = marts(compile_models, world)["mart_exit_register"]
    assert (row["ending"], row["is_dunned"], row["ended_date"]) == (
        "involuntary",
        True,
        date(2024, 3, 31),
    )


def test_a_winback_is_the_next_spell_and_its_first_mrr(compile_models: CompileModels) -> None:
    world = World(
        AS_OF,
        accounts=[account("A")],
        subscriptions=[
            subscription("s", date(2024, 1, 1), date(2024, 2, 10)),
            subscription("t", date(2024, 3, 11), date(2024, 5, 1), amount=70, plan_tier="small"),
        ],
    )
    first, second = sorted(
        marts(compile_models, world)["mart_exit_register"], key=lambda row: row["spell_number"]
    )
    assert (first["winback_at"], first["winback_mrr"]) == (datetime(2024, 3, 11), 70)
    assert (first["days_until_winback"], first["plan_tier_at_exit"]) == (30, "basic")
    assert (second["winback_at"], second["plan_tier_at_exit"]) == (None, "small")


def test_an_account_that_is_back_before_the_month_closes_has_left_all_the_same(
    compile_models: CompileModels,
) -> None:
    world = World(
        AS_OF,
        accounts=[account("A")],
        subscriptions=[
            subscription("s", date(2024, 1, 1), date(2024, 5, 2)),
            subscription("t", date(2024, 5, 20)),
        ],
    )
    [row] = marts(compile_models, world)["mart_exit_register"]
    assert (row["ended_date"], row["days_until_winback"]) == (date(2024, 5, 2), 18)


def test_a_cancellation_that_ended_no_spell_is_counted_under_its_reason(
    compile_models: CompileModels,
) -> None:
    world = World(
        AS_OF,
        accounts=[account("A"), account("B")],
        subscriptions=[
            subscription("s", date(2024, 1, 1), date(2024, 5, 10)),
            subscription("kept", date(2024, 1, 1), account_id="B"),
        ],
        cancellations=[
            said(date(2024, 5, 1), "price"),
            said(date(2024, 5, 10), "price"),
            said(date(2024, 5, 3), "price", account_id="B", cancellation_id="stayed"),
            said(date(2024, 5, 3), "budget", account_id="stranger", cancellation_id="who"),
        ],
    )
    total = {
        row["reason_code"]: (row["exits"], row["cancellations"], row["cancellations_without_exit"])
        for row in marts(compile_models, world)["mart_churn_reasons"]
        if row["slice_dimension"] == "total"
    }
    assert total == {"price": (1, 3, 2), "budget": (0, 1, 1)}


@pytest.mark.parametrize(
    ("days_before", "state"),
    [
        ([1, 2, 3, 30, 31, 40], "active"),
        ([1, 30, 31, 32], "fading"),
        ([1, 30, 31], "active"),
        ([14, 45], "active"),
        ([29, 30, 60], "silent"),
        ([100], "silent"),
    ],
)
def test_the_last_usage_state_compares_the_last_28_days_with_the_28_before(
    compile_models: CompileModels, days_before: list[int], state: str
) -> None:
    end = date(2024, 5, 10)
    events = [event(f"e{n}", end - timedelta(days=n), user_id=None) for n in days_before]
    events.append(event("somebody", date(2024, 1, 1), account_id="Z"))
    world = left_in_may()
    [row] = marts(compile_models, world, product__events=events)["mart_exit_register"]
    assert row["last_usage_state"] == state


def test_usage_is_unknown_where_the_export_does_not_reach(compile_models: CompileModels) -> None:
    later = [event("e", date(2024, 5, 1))]
    for events in ([], later):
        [row] = marts(compile_models, left_in_may(), product__events=events)["mart_exit_register"]
        assert row["last_usage_state"] == "unknown"


def test_the_last_touch_is_the_last_one_before_the_end(compile_models: CompileModels) -> None:
    touches = [
        touch("before", datetime(2024, 5, 1, 9)),
        touch("automated", datetime(2024, 5, 9, 9), is_automated=True),
        touch("goodbye", datetime(2024, 5, 12, 9)),
    ]
    world = left_in_may()
    [row] = marts(compile_models, world, communications__touchpoints=touches)["mart_exit_register"]
    assert (row["last_touch_at"], row["last_touch_days"]) == (datetime(2024, 5, 1, 9), 9)


def test_nobody_left_and_nothing_is_said(compile_models: CompileModels) -> None:
    found = marts(compile_models, World(AS_OF, accounts=[account("A")]))
    assert not any(found.values())


# The recount


def explanation(book: Book, name: str, start: datetime, end: datetime, until: datetime) -> Row:
    """The newest cancellation of the spell that concerns the account or what ended with it."""
    concerned = {item.subscription_id for item in book.items[name] if item.end == end}
    concerned |= {
        row["subscription_id"]
        for row in book.world.subscriptions
        if row["account_id"] == name and row["status"] == "past_due" and grace_end(book, row) == end
    }
    told = [
        row
        for row in book.world.cancellations
        if row["account_id"] == name
        and start <= row["cancelled_at"] < until
        and row["subscription_id"] in {None, *concerned}
    ]
    return dict(max(told, key=lambda r: (r["cancelled_at"], r["cancellation_id"]), default={}))


def grace_end(book: Book, row: oracle.Row) -> datetime | None:
    grace = timedelta(days=book.policies.past_due_grace_days)
    out = max(row["started_at"], (row["past_due_since"] or row["started_at"]) + grace)
    return out if row["ended_at"] is None or out <= row["ended_at"] else None


def exits_of(book: Book) -> Iterator[Row]:
    calendar = book.calendar
    for name, spells in book.spells.items():
        for number, (start, end) in enumerate(spells, 1):
            if end is None:
                continue
            back = spells[number][0] if number < len(spells) else None
            told = explanation(book, name, start, end, back or calendar.end)
            paid = [
                item
                for item in book.items[name]
                if item.start < end and book.value(item, book.day_before(end)) > 0
            ]
            last = max(paid, key=lambda i: (min(i.end or end, end), *book.rank(i, calendar.as_of)))
            returning = [
                item
                for item in book.items[name]
                if back and item.start <= back and (item.end is None or item.end > back)
            ]
            yield {
                "account_id": name,
                "spell_number": number,
                "cancellation_id": told.get("cancellation_id"),
                "reason_code": told.get("reason_code") or "unknown",
                "destination": told.get("competitor") or "unknown",
                "is_reason_known": told.get("reason_code") not in (None, "unknown"),
                "plan_tier_at_exit": last.plan_tier or "unknown",
                "mrr_lost": book.mrr(book.in_force(name, end), book.day_before(end)),
                "winback_at": back,
                "winback_mrr": book.mrr(
                    book.counted(returning, calendar.day(back)), calendar.day(back)
                )
                if back
                else None,
                "tenure_days": (calendar.day(end) - calendar.day(start)).days,
                "ended_at": end,
                "ended_date": calendar.day(end),
            }


def slices_of(book: Book, name: str) -> dict[str, str]:
    """Also of an account that never paid, or that only a cancellation mentions."""
    if name in book.slices:
        return book.slices[name]
    own = [row for row in book.world.accounts if row["account_id"] == name]
    named = {key: (own and own[0][key]) or "unknown" for key in oracle.SLICED_BY}
    return {"total": "all", "plan_tier": "unknown", **named}


def reasons_of(book: Book) -> dict[tuple[str, str, date, str], Counter[str]]:
    found: dict[tuple[str, str, date, str], Counter[str]] = {}

    def count(name: str, month: date, reason: str, **measures: Any) -> None:
        for dimension, value in slices_of(book, name).items():
            sums = found.setdefault((dimension, value, month, reason), Counter())
            for measure, amount in measures.items():
                sums[measure] += amount

    explaining = set()
    for row in exits_of(book):
        explaining.add(row["cancellation_id"])
        month = row["ended_date"].replace(day=1)
        won_back = int(row["winback_at"] is not None)
        measures = {"exits": 1, "mrr_lost": row["mrr_lost"], "exits_won_back": won_back}
        count(row["account_id"], month, row["reason_code"], **measures)
    for told in book.world.cancellations:
        if told["cancelled_at"] < book.calendar.end:
            without = int(told["cancellation_id"] not in explaining)
            month = book.calendar.month(told["cancelled_at"])
            measures = {"cancellations": 1, "cancellations_without_exit": without}
            count(told["account_id"], month, told["reason_code"] or "unknown", **measures)
    return found


MEASURES = ("exits", "mrr_lost", "exits_won_back", "cancellations", "cancellations_without_exit")


def check_against_recount(book: Book, found: dict[str, list[Row]]) -> None:
    expected = {(row["account_id"], row["spell_number"]): row for row in exits_of(book)}
    register = {(r["account_id"], r["spell_number"]): r for r in found["mart_exit_register"]}
    assert set(register) == set(expected)
    for key, row in expected.items():
        for name, value in row.items():
            assert name == "cancellation_id" or register[key][name] == value, (key, name)

    reasons = reasons_of(book)
    keys = ("slice_dimension", "slice_value", "period_start", "reason_code")
    rows = {tuple(row[k] for k in keys): row for row in found["mart_churn_reasons"]}
    assert set(rows) == set(reasons)
    for slot, sums in reasons.items():
        assert {name: rows[slot][name] for name in MEASURES} == {n: sums[n] for n in MEASURES}
    for row in rows.values():
        share = row["exits"] / row["exits_of_slice"] if row["exits_of_slice"] else None
        assert row["churn_reason_share"] == (share if share is None else pytest.approx(share))
        assert row["period_end"] == next_month(row["period_start"])

    switched: dict[tuple[str, str, date], list[Row]] = {}
    for row in expected.values():
        where = (row["destination"], row["reason_code"], row["ended_date"].replace(day=1))
        switched.setdefault(where, []).append(row)
    assert {
        (r["destination"], r["reason_code"], r["period_start"]): (
            r["exits"],
            r["accounts"],
            r["mrr_lost"],
        )
        for r in found["mart_switched_to"]
    } == {
        where: (
            len(own),
            len({row["account_id"] for row in own}),
            sum(row["mrr_lost"] for row in own),
        )
        for where, own in switched.items()
    }

    # The register is the churn of the ledger, told spell by spell.
    lost = Counter[tuple[str, datetime]]()
    for row in found["fct_mrr_movements"]:
        if row["movement_type"] == "churn":
            lost[row["account_id"], row["occurred_at"]] -= row["amount"]
    assert lost == {
        (row["account_id"], row["ended_at"]): row["mrr_lost"] for row in register.values()
    }


@st.composite
def told_worlds(draw: st.DrawFn) -> World:
    """Worlds of the revenue tests, whose cancellations say why and where to."""
    world = draw(worlds())
    reasons = st.sampled_from([None, "unknown", "price", "price", "competitor"])
    competitors = st.sampled_from([None, None, "X", "Y"])
    cancellations = [
        {**row, "reason_code": draw(reasons), "competitor": draw(competitors)}
        for row in world.cancellations
    ]
    known = {*world.__dict__} - {"cancellations"}
    return World(cancellations=cancellations, **{name: getattr(world, name) for name in known})


@pytest.mark.parametrize(
    "policies",
    [Policies(), Policies(gap_tolerance_days=0, reporting_timezone="America/New_York")],
    ids=["defaults", "no-tolerance-in-new-york"],
)
def test_exits_and_reasons_equal_a_recount(
    compile_models: CompileModels, policies: Policies
) -> None:
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(told_worlds())
    def check(world: World) -> None:
        check_against_recount(
            oracle.keep_book(world, policies), marts(compile_models, world, policies)
        )

    check()


# RavenStack


def ravenstack_marts(
    compile_models: CompileModels, policies: Policies
) -> tuple[Book, dict[str, list[Row]]]:
    names = ("accounts", "subscriptions", "churn_events")
    raw = {f"ravenstack__{name}": ravenstack.raw(name) for name in names}
    events: Sequence[Row] = [
        {
            "cancellation_id": row["churn_event_id"],
            "account_id": row["account_id"],
            "subscription_id": None,
            "cancelled_at": ravenstack.midnight(row["churn_date"]),
            "reason_code": row["reason_code"] or None,
            "competitor": None,
            "is_voluntary": None,
        }
        for row in ravenstack.read("churn_events")
    ]
    base = ravenstack.world()
    world = World(base.as_of, base.subscriptions, base.accounts, cancellations=events)
    found = marts(compile_models, World(ravenstack.AS_OF), policies, **raw)
    return oracle.keep_book(world, policies), found


@pytest.mark.skipif(ravenstack.folder() is None, reason="REFERENCE_DATA is not set")
@pytest.mark.parametrize(
    ("policies", "exits"),
    [
        (Policies(), 6),
        (
            Policies(
                account_mrr_policy="latest_start", trial_policy="include", gap_tolerance_days=0
            ),
            None,
        ),
    ],
    ids=["defaults", "one-winning-subscription"],
)
def test_ravenstack_churn_reasons_by_plan_tier_equal_a_plain_count_of_its_file(
    compile_models: CompileModels, policies: Policies, exits: int | None
) -> None:
    book, found = ravenstack_marts(compile_models, policies)
    check_against_recount(book, found)
    by_tier = Counter(
        (slices_of(book, row["account_id"])["plan_tier"], row["reason_code"])
        for row in ravenstack.read("churn_events")
    )
    counted = Counter[tuple[str, str]]()
    for row in found["mart_churn_reasons"]:
        if row["slice_dimension"] == "plan_tier" and row["cancellations"]:
            counted[row["slice_value"], row["reason_code"]] += row["cancellations"]
    assert counted == by_tier
    assert sum(by_tier.values()) == 600
    assert exits in (None, len(found["mart_exit_register"]))
