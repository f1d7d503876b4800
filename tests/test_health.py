"""Customer health, against its published examples and a recount in plain Python.

The recount compares every pair of accounts and every day by itself; it shares no step with the SQL.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from itertools import product
from random import Random
from typing import Any

import pytest
from models import CompileModels, rows_of
from oracle import Policies, World
from rows import (
    Row,
    account,
    cancellation,
    event,
    ledger_line,
    raw_row,
    subscription,
    ticket,
    touch,
)

NAMES = (
    "mart_account_360",
    "mart_customer_health",
    "mart_exit_register",
    "mart_health_backtest",
    "mart_at_risk_accounts",
)
START, AS_OF = date(2024, 1, 1), date(2024, 6, 30)
JUNE = date(2024, 6, 1)
Tables = Mapping[str, Sequence[Row]]


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def survey_answer(account_id: str, score_class: str, day: date = JUNE) -> Row:
    return {
        "response_id": f"R-{account_id}-{day}",
        "survey_type": "nps",
        "metric": "nps",
        "account_id": account_id,
        "is_anonymous": False,
        "channel": None,
        "score": 9,
        "score_class": score_class,
        "excluded": None,
        "is_high_good": True,
        "responded_at": midnight(day),
        "responded_date": day,
    }


def used(account_id: str, at: datetime, event_name: str = "login", **columns: Any) -> Row:
    name = f"E-{account_id}-{at}"
    return event(name, at, account_id=account_id, event_name=event_name, **columns)


def component(name: str, weight: float, poor_at: float, good_at: float) -> Row:
    return {
        "component": name,
        "weight": weight,
        "higher_is_better": good_at > poor_at,
        "poor_at": poor_at,
        "good_at": good_at,
    }


def scoring(name: str, weight: float, value: float, score: float) -> Row:
    """A component whose scale gives `value` the score `score`."""
    return (
        component(name, weight, 0, value * 100 / score)
        if score
        else component(name, weight, value, value + 1)
    )


def past_due(days: int, account_id: str = "A") -> Row:
    return subscription(
        f"S-{account_id}",
        START,
        account_id=account_id,
        status="past_due",
        past_due_since=midnight(AS_OF - timedelta(days - 1)),
    )


def built(
    compile_models: CompileModels, world: World, tables: Tables, **variables: Any
) -> dict[str, list[Row]]:
    models = compile_models(Policies(), NAMES, **variables)
    with closing(models.build(world, **tables)) as database:
        return {name: rows_of(database, name) for name in NAMES}


def health_at_as_of(
    compile_models: CompileModels, world: World, tables: Tables, **variables: Any
) -> Row:
    """Account A's row of the as-of month."""
    [row] = [
        row
        for row in built(compile_models, world, tables, **variables)["mart_customer_health"]
        if (row["account_id"], row["period_start"]) == ("A", JUNE)
    ]
    return row


# An account ten days past due, touched twenty days ago, with one promoter and no ticket of its own
ONE_OF_EACH = World(AS_OF, accounts=[account("A"), account("B")], subscriptions=[past_due(10)])
TOLD = {
    "communications__touchpoints": [touch("T", midnight(AS_OF - timedelta(20)))],
    "support__tickets": [ticket("T", JUNE, account_id="B")],
    "derived__survey_responses": [survey_answer("A", "favourable")],
}


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param(
            [
                scoring("days_past_due", 20, 10, 47),
                scoring("last_touch_days", 15, 20, 59),
                scoring("ticket_points", 22, 12.5, 21),
            ],
            40.1228,
            id="31 group health of three measures",
        ),
        pytest.param(
            [
                scoring("days_past_due", 7, 10, 83),
                scoring("last_touch_days", 5, 20, 71),
                scoring("survey_answers", 8, 100, 78),
                scoring("ticket_points", 3, 12.5, 54),
            ],
            74.8696,
            id="32 overall health, unrounded",
        ),
        pytest.param(
            [
                scoring("days_past_due", 1, 10, 100),
                scoring("last_touch_days", 1, 20, 100),
                scoring("ticket_points", 1, 12.5, 0),
            ],
            66.6667,
            id="33 two healthy and one poor of three",
        ),
        pytest.param(
            [
                scoring("days_past_due", 50, 10, 100),
                scoring("last_touch_days", 30, 20, 60),
                scoring("ticket_points", 20, 12.5, 0),
            ],
            68,
            id="34 good is 100, average 60, poor 0, with weights as given",
        ),
    ],
)
def test_published_scores(
    compile_models: CompileModels, weights: list[Row], expected: float
) -> None:
    row = health_at_as_of(compile_models, ONE_OF_EACH, {**TOLD, "seeds__health_weights": weights})
    assert row["health_score"] == pytest.approx(expected, abs=5e-5)
    assert row["coverage"] == 1
    assert sum(part["contribution"] for part in row["components"]) == pytest.approx(
        row["health_score"]
    )


@pytest.mark.parametrize(
    ("tickets", "points"), [(0, 12.5), (1, 25), (2, 25), (3, 18.75), (4, 18.75), (5, 6.25)]
)
def test_45_no_ticket_is_worse_than_one_or_two(
    compile_models: CompileModels, tickets: int, points: float
) -> None:
    of_a = [ticket(f"A{n}", AS_OF - timedelta(89)) for n in range(tickets)]
    too_old = ticket("old", AS_OF - timedelta(90))
    tables = {**TOLD, "support__tickets": [ticket("B", JUNE, account_id="B"), too_old, *of_a]}
    row = health_at_as_of(compile_models, ONE_OF_EACH, tables)
    [found] = [part for part in row["components"] if part["component"] == "ticket_points"]
    assert found["value"] == points
    assert found["score"] == pytest.approx(4 * points)


def test_a_missing_component_is_left_out_and_the_weights_are_rebased(
    compile_models: CompileModels,
) -> None:
    weights = [
        scoring("days_past_due", 30, 10, 40),
        scoring("ticket_points", 30, 12.5, 80),
        scoring("survey_answers", 40, 100, 90),
    ]
    tables = {**TOLD, "derived__survey_responses": [], "seeds__health_weights": weights}
    row = health_at_as_of(compile_models, ONE_OF_EACH, tables)
    assert row["coverage"] == pytest.approx(0.6)
    assert row["health_score"] == pytest.approx(60)
    assert (row["band"], row["weakest_component"]) == ("amber", "days_past_due")


def test_too_little_coverage_is_unknown_and_not_a_score(compile_models: CompileModels) -> None:
    weights = [scoring("days_past_due", 59, 10, 40), scoring("survey_answers", 41, 100, 90)]
    tables = {**TOLD, "derived__survey_responses": [], "seeds__health_weights": weights}
    row = health_at_as_of(compile_models, ONE_OF_EACH, tables)
    assert (row["band"], row["health_score"]) == ("unknown", None)
    assert (row["reason_null"], row["weighted_score"]) == ("low_coverage", pytest.approx(40))


@pytest.mark.parametrize(
    ("score", "band"),
    [(49.999, "red"), (50, "amber"), (74.999, "amber"), (75, "green")],
)
def test_bands_include_their_lower_edge_and_do_not_round(
    compile_models: CompileModels, score: float, band: str
) -> None:
    weights = [component("survey_answers", 1, 100 - score, 200 - score)]
    row = health_at_as_of(compile_models, ONE_OF_EACH, {**TOLD, "seeds__health_weights": weights})
    assert row["health_score"] == pytest.approx(score)
    assert row["band"] == band


def test_the_worst_of_model_takes_the_lowest_component(compile_models: CompileModels) -> None:
    weights = [scoring("days_past_due", 9, 10, 100), scoring("ticket_points", 1, 12.5, 20)]
    tables = {**TOLD, "seeds__health_weights": weights}
    row = health_at_as_of(compile_models, ONE_OF_EACH, tables, health_model="worst_of")
    assert (row["health_score"], row["band"]) == (pytest.approx(20), "red")
    assert row["weighted_score"] == pytest.approx(92)


def test_who_never_used_the_product_is_silent_since_the_day_it_pays(
    compile_models: CompileModels,
) -> None:
    # A began to pay in May, left, and pays again from the 28th of June on.
    world = World(
        AS_OF,
        accounts=[account("A"), account("B")],
        subscriptions=[
            subscription("S", date(2024, 4, 10), date(2024, 5, 10)),
            subscription("T", date(2024, 6, 28)),
        ],
    )
    tables = {
        "product__events": [used("B", midnight(START))],
        "seeds__health_weights": [component("days_since_last_event", 1, 28, 0)],
    }
    row = health_at_as_of(compile_models, world, tables)
    [silence] = row["components"]
    assert silence["value"] == 2


def test_the_worst_score_is_zero_and_never_minus_zero(compile_models: CompileModels) -> None:
    world = World(AS_OF, accounts=[account("A")], subscriptions=[subscription("S", START)])
    tables = {
        "product__events": [event("E", midnight(AS_OF - timedelta(28)))],
        "seeds__health_weights": [component("days_since_last_event", 1, 28, 0)],
    }
    [silence] = health_at_as_of(compile_models, world, tables)["components"]
    assert (silence["value"], str(silence["score"])) == (28, "0.0")


FEATURES = [
    {"feature": f"f{number:02}", "plan_tier": "basic", "is_core": False} for number in range(20)
]


def use_of_features(account_id: str, count: int, day: date) -> list[Row]:
    return [
        used(account_id, midnight(day) + timedelta(minutes=number), "feature_used", feature=name)
        for number, name in enumerate(feature["feature"] for feature in FEATURES[:count])
    ]


def values_at(rows: Sequence[Row], month: date, account_id: str = "A") -> dict[str, float | None]:
    [row] = [row for row in rows if (row["account_id"], row["period_start"]) == (account_id, month)]
    return {part["component"]: part["value"] for part in row["components"]}


def test_breadth_is_that_of_the_newest_complete_month(compile_models: CompileModels) -> None:
    world = World(
        date(2024, 7, 2),
        accounts=[account("A"), account("B")],
        subscriptions=[
            subscription("S", START),
            subscription("T", date(2024, 7, 1), account_id="B"),
        ],
    )
    events = use_of_features("A", 10, date(2024, 6, 20))
    tables = {
        "product__events": [*events, *use_of_features("A", 1, date(2024, 7, 1))],
        "seeds__feature_catalog": FEATURES,
        "seeds__health_weights": [component("adoption_breadth", 1, 0, 1)],
    }
    rows = built(compile_models, world, tables)["mart_customer_health"]
    july = date(2024, 7, 1)
    assert values_at(rows, july) == values_at(rows, JUNE) == {"adoption_breadth": 0.5}
    assert values_at(rows, july, "B") == {"adoption_breadth": None}


def test_a_score_on_the_edge_of_a_band_is_on_it(compile_models: CompileModels) -> None:
    # 7 of 20 lie half way between 0.1 and 0.6.
    tables = {
        "product__events": use_of_features("A", 7, JUNE),
        "seeds__feature_catalog": FEATURES,
        "seeds__health_weights": [
            component("adoption_breadth", 0.7, 0.1, 0.6),
            component("ticket_points", 0.1, 0, 25),
        ],
        "support__tickets": TOLD["support__tickets"],
    }
    row = health_at_as_of(compile_models, ONE_OF_EACH, tables)
    assert (row["health_score"], row["band"]) == (50, "amber")
    assert {part["score"] for part in row["components"]} == {50}


@pytest.mark.parametrize(
    ("last", "is_known"),
    [
        (AS_OF, True),
        (AS_OF - timedelta(1), True),  # not late yet
        (AS_OF - timedelta(2), False),
        (date(2024, 5, 31), False),
    ],
)
def test_what_has_stopped_landing_is_no_silence_of_customers(
    compile_models: CompileModels, last: date, is_known: bool
) -> None:
    world = World(AS_OF, accounts=[account("A")], subscriptions=[subscription("S", START)])
    days = [START + timedelta(7 * week) for week in range(21)]
    events = [row for day in days for row in use_of_features("A", 1, day)]
    weights = ["usage_change", "days_since_last_event", "adoption_depth", "adoption_breadth",
               "last_touch_days"]  # fmt: skip
    tables = {
        "product__events": [row | {"landing_date": last} for row in events],
        "communications__touchpoints": [
            touch("T", midnight(AS_OF - timedelta(40)), landing_date=last)
        ],
        "seeds__feature_catalog": FEATURES,
        "seeds__health_weights": [component(name, 1, 0, 1) for name in weights],
        "lake__extractions": [
            ledger_line("crm/accounts", AS_OF),
            ledger_line("billing/subscriptions", AS_OF),
            ledger_line("product/events", last),
            ledger_line("communications/touchpoints", last),
        ],
    }
    rows = built(compile_models, world, tables)["mart_customer_health"]
    assert None not in values_at(rows, date(2024, 5, 1)).values()
    june = values_at(rows, JUNE)
    if is_known:
        assert june == {
            "usage_change": -1, "days_since_last_event": 41, "adoption_depth": 0,
            "adoption_breadth": 0, "last_touch_days": 40 if last == AS_OF else None,
        }  # fmt: skip
    else:
        assert june == dict.fromkeys(weights)


@pytest.mark.parametrize("is_landed", [True, False])
def test_an_export_that_landed_without_a_row_tells_of_none(
    compile_models: CompileModels, is_landed: bool
) -> None:
    exports = ["support/tickets", "crm/desired_outcomes"] if is_landed else []
    world = World(AS_OF, accounts=[account("A")], subscriptions=[subscription("S", START)])
    tables = {
        "lake__extractions": [
            ledger_line(export, AS_OF)
            for export in ("crm/accounts", "billing/subscriptions", *exports)
        ]
    }
    [whole] = built(compile_models, world, tables)["mart_account_360"]
    counts = ("tickets_90d", "open_tickets", "open_escalations", "desired_outcomes",
              "achieved_outcomes", "overdue_outcomes")  # fmt: skip
    assert {name: whole[name] for name in counts} == dict.fromkeys(counts, 0 if is_landed else None)


def test_days_past_due_are_days_of_the_reporting_time_zone(compile_models: CompileModels) -> None:
    # In Los Angeles it is the evening of the 29th.
    overdue = subscription("S", START, status="past_due", past_due_since=datetime(2024, 6, 30, 5))
    world = World(AS_OF, accounts=[account("A")], subscriptions=[overdue])
    tables = {"seeds__health_weights": [component("days_past_due", 1, 30, 0)]}
    zone = {"reporting_timezone": "America/Los_Angeles"}
    rows = built(compile_models, world, tables, **zone)["mart_customer_health"]
    assert values_at(rows, JUNE) == {"days_past_due": 2}


def test_payment_is_not_told_by_a_system_that_has_no_dunning(
    compile_models: CompileModels,
) -> None:
    subscribed = raw_row(
        "ravenstack__subscriptions",
        subscription_id="S",
        account_id="A",
        start_date=START,
        seats=1,
        mrr_amount=100,
        is_trial=False,
    )
    tables = {
        "ravenstack__subscriptions": [subscribed],
        "seeds__health_weights": [component("days_past_due", 1, 30, 0)],
    }
    told = health_at_as_of(compile_models, World(AS_OF), tables)
    assert (told["band"], told["coverage"]) == ("unknown", 0)


def test_health_is_frozen_at_churn(compile_models: CompileModels) -> None:
    gone = World(
        AS_OF, accounts=[account("A")], subscriptions=[subscription("S", START, date(2024, 4, 10))]
    )
    weights = [component("survey_answers", 1, 0, 100)]
    tables = {
        "derived__survey_responses": [
            survey_answer("A", "unfavourable", date(2024, 3, 20)),
            survey_answer("A", "favourable", date(2024, 5, 20)),
        ],
        "seeds__health_weights": weights,
    }
    row = health_at_as_of(compile_models, gone, tables)
    [left] = built(compile_models, gone, tables)["mart_exit_register"]
    assert (left["last_health_score"], left["last_health_band"]) == (0, "red")
    assert (row["health_score"], row["band"], row["is_paying"]) == (0, "red", False)
    assert row["frozen_at"] == datetime(2024, 4, 10)
    assert row["scored_period_start"] == date(2024, 3, 1)


@pytest.mark.parametrize(("is_anonymous", "answer", "score"), [(False, 9, 100), (True, None, None)])
def test_an_anonymous_answer_says_nothing_of_its_account(
    compile_models: CompileModels, is_anonymous: bool, answer: int | None, score: int | None
) -> None:
    world = World(AS_OF, accounts=[account("A")], subscriptions=[subscription("S", START)])
    tables = {
        "derived__survey_responses": [
            survey_answer("A", "favourable") | {"is_anonymous": is_anonymous}
        ],
        "seeds__health_weights": [component("survey_answers", 1, 0, 100)],
    }
    marts = built(compile_models, world, tables)
    [whole] = marts["mart_account_360"]
    assert (whole["last_nps_answer"], whole["health_score"]) == (answer, score)


def test_an_override_stands_beside_the_score(compile_models: CompileModels) -> None:
    override = {
        "account_id": "A",
        "valid_from": date(2024, 6, 30),
        "valid_to": date(2024, 7, 1),
        "band": "red",
        "reason": "sponsor leaves",
        "owner": "somebody",
    }
    weights = [component("survey_answers", 1, 0, 100)]
    tables = {**TOLD, "seeds__health_weights": weights, "seeds__health_overrides": [override]}
    marts = built(compile_models, ONE_OF_EACH, tables)
    found = {row["period_start"]: row for row in marts["mart_customer_health"]}
    assert (found[JUNE]["band"], found[JUNE]["effective_band"]) == ("green", "red")
    assert found[date(2024, 5, 1)]["override_band"] is None
    [listed] = marts["mart_at_risk_accounts"]
    assert listed["reasons"] == ["past_due", "health_red"]


def test_accounts_at_risk_are_ranked_by_the_money_that_health_does_not_vouch_for(
    compile_models: CompileModels,
) -> None:
    scores = {"small-red": "unfavourable", "big-amber": "neutral", "fine": "favourable"}
    amounts = {"small-red": 100, "big-amber": 1000, "fine": 5000, "leaving": 70}
    world = World(
        AS_OF,
        accounts=[account(name) for name in amounts],
        subscriptions=[
            subscription(
                f"S-{name}",
                START,
                account_id=name,
                amount=amount,
                term_end_date=date(2024, 7, 31),
                cancel_requested_at=midnight(JUNE) if name == "leaving" else None,
            )
            for name, amount in amounts.items()
        ],
    )
    tables = {
        "derived__survey_responses": [survey_answer(n, c) for n, c in scores.items()],
        "seeds__health_weights": [component("survey_answers", 1, 0, 100)],
    }
    listed = built(compile_models, world, tables)["mart_at_risk_accounts"]
    assert [
        (row["account_id"], row["reasons"], row["weighted_mrr_at_risk"])
        for row in sorted(listed, key=lambda row: row["risk_rank"])
    ] == [
        ("big-amber", ["amber_before_renewal"], 500),
        ("small-red", ["health_red"], 100),
        ("leaving", ["cancel_requested"], 70),
    ]
    assert {row["renewal_date"] for row in listed} == {date(2024, 7, 31)}


@pytest.mark.parametrize(
    ("later", "reasons"),
    [
        pytest.param({"start": date(2024, 7, 10), "amount": 120}, [], id="a change of price"),
        pytest.param({"start": date(2024, 7, 12)}, [], id="within the tolerance"),
        pytest.param({"start": date(2024, 7, 10), "end": date(2024, 8, 31)}, ["end_scheduled"],
                     id="a change of price before the end"),
        pytest.param({"start": date(2024, 7, 10), "end": date(2024, 8, 31), "status": "canceled"},
                     ["end_scheduled"], id="a cancelled row before the end"),
        pytest.param({"start": date(2024, 7, 30)}, ["end_scheduled"], id="a return"),
        pytest.param({"start": date(2024, 7, 10), "status": "paused"}, ["end_scheduled"],
                     id="a pause"),
        pytest.param({"start": START, "end": date(2024, 7, 20), "status": "trialing",
                      "subscription_id": "trial"}, ["end_scheduled"], id="a trial beside it"),
        pytest.param(None, ["end_scheduled"], id="an end"),
    ],
)  # fmt: skip
def test_an_end_is_scheduled_where_nothing_follows_it(
    compile_models: CompileModels, later: Row | None, reasons: list[str]
) -> None:
    rows = [subscription("S", START, date(2024, 7, 10))]
    if later:
        columns = {"subscription_id": "S", **later}
        rows.append(subscription(columns.pop("subscription_id"), columns.pop("start"),
                                 columns.pop("end", None), **columns))  # fmt: skip
    world = World(AS_OF, accounts=[account("A")], subscriptions=rows)
    tables = {"seeds__health_weights": [component("days_past_due", 1, 30, 0)]}
    marts = built(compile_models, world, tables)
    assert [row["reasons"] for row in marts["mart_at_risk_accounts"]] == [reasons] * bool(reasons)
    [whole] = marts["mart_account_360"]
    last = max(row["ended_at"] for row in rows if row["subscription_id"] == "S" and row["ended_at"])
    assert whole["ends_at"] == (last if reasons else None)


def test_a_trial_that_ends_beside_a_paid_subscription_is_no_scheduled_end(
    compile_models: CompileModels,
) -> None:
    rows = [
        subscription("S", START),
        subscription("trial", JUNE, date(2024, 7, 10), status="trialing"),
    ]
    world = World(AS_OF, accounts=[account("A")], subscriptions=rows)
    tables = {"seeds__health_weights": [component("days_past_due", 1, 30, 0)]}
    assert built(compile_models, world, tables)["mart_at_risk_accounts"] == []


@pytest.mark.parametrize(
    "beside",
    [
        {"status": "trialing", "trial_end_at": midnight(date(2024, 7, 15))},
        {"trial_end_at": midnight(date(2024, 7, 15))},
        {"status": "paused"},
    ],
    ids=["a trial", "an active row still on trial", "a pause"],
)
def test_what_is_not_paid_says_nothing_beside_what_is(
    compile_models: CompileModels, beside: Row
) -> None:
    said: Row = {"cancel_requested_at": midnight(JUNE), "term_end_date": date(2024, 7, 15)}
    aside = subscription("T", date(2024, 6, 1), date(2024, 7, 16), **said, **beside)
    rows = [
        subscription("S", START, amount=1000, term_end_date=date(2025, 12, 31)),
        aside,
        aside | {"account_id": "B", "subscription_id": "alone"},
    ]
    world = World(AS_OF, accounts=[account("A"), account("B")], subscriptions=rows)
    tables = {"seeds__health_weights": [component("days_past_due", 1, 30, 0)]}
    marts = built(compile_models, world, tables)
    assert marts["mart_at_risk_accounts"] == []
    told = {
        row["account_id"]: (row["cancel_requested_at"], row["renewal_date"], row["ends_at"])
        for row in marts["mart_account_360"]
    }
    assert told == {
        "A": (None, date(2025, 12, 31), None),
        "B": (midnight(JUNE), date(2024, 7, 15), None),
    }


@pytest.mark.parametrize(
    "over",
    [
        {"status": "canceled", "cancel_requested_at": midnight(JUNE)},
        {"status": "past_due", "past_due_since": midnight(date(2024, 2, 1))},
    ],
    ids=["canceled without an end", "a grace that ran out"],
)
def test_what_no_longer_counts_puts_nobody_at_risk(
    compile_models: CompileModels, over: Row
) -> None:
    rows = [
        subscription("S", START, term_end_date=date(2024, 7, 31), **over),
        subscription("T", START),
    ]
    world = World(AS_OF, accounts=[account("A")], subscriptions=rows)
    tables = {"seeds__health_weights": [component("days_past_due", 1, 30, 0)]}
    marts = built(compile_models, world, tables)
    assert marts["mart_at_risk_accounts"] == []
    [whole] = marts["mart_account_360"]
    assert (whole["cancel_requested_at"], whole["renewal_date"]) == (None, None)
    assert (whole["is_past_due"], whole["health_score"]) == (False, 100)


@pytest.mark.parametrize("grace", [30, 0])
@pytest.mark.parametrize("mrr_snapshot", ["period_end", "any_time"])
def test_a_grace_that_ran_out_this_month_is_no_longer_past_due(
    compile_models: CompileModels, mrr_snapshot: Any, grace: int
) -> None:
    since = date(2024, 6, 10) - timedelta(grace)
    rows = [
        subscription("G", START, since),
        subscription("G", since, status="past_due", past_due_since=midnight(since)),
        subscription("K", START),
    ]
    world = World(date(2024, 6, 20), accounts=[account("A")], subscriptions=rows)
    policies = Policies(mrr_snapshot=mrr_snapshot, past_due_grace_days=grace)
    with closing(compile_models(policies, ("mart_account_360",)).build(world)) as database:
        [whole] = rows_of(database, "mart_account_360")
    assert whole["is_past_due"] is False


def test_what_the_recognition_of_churn_has_ended_is_not_scheduled_to_end(
    compile_models: CompileModels,
) -> None:
    rows = [
        subscription("C", START, date(2024, 6, 5)),
        subscription(
            "C",
            date(2024, 6, 5),
            date(2024, 8, 1),
            status="canceled",
            term_end_date=date(2024, 7, 31),
        ),
        subscription("K", START),
    ]
    cancelled = [cancellation(date(2024, 6, 5), subscription_id="C")]
    world = World(AS_OF, accounts=[account("A")], subscriptions=rows, cancellations=cancelled)
    policies = Policies(churn_recognition="cancel_effective")
    with closing(compile_models(policies, ("mart_account_360",)).build(world)) as database:
        [whole] = rows_of(database, "mart_account_360")
    assert (whole["mrr"], whole["ends_at"], whole["renewal_date"]) == (100, None, None)


def test_what_landed_without_a_row_is_zero_for_an_account_and_what_never_landed_is_null(
    compile_models: CompileModels,
) -> None:
    accounts = [account("A"), account("B")]
    paid = World(AS_OF, accounts=accounts, subscriptions=[subscription("S", START, account_id="B")])
    touches = {"communications__touchpoints": [touch("T", AS_OF - timedelta(3), "B")]}
    models = compile_models(Policies(), ("mart_account_360",))
    told = []
    for world, tables in [(World(AS_OF, accounts=accounts), {}), (paid, touches)]:
        with closing(models.build(world, **tables)) as database:
            [row] = [r for r in rows_of(database, "mart_account_360") if r["account_id"] == "A"]
        told.append((row["churns"], row["touches_90d"]))
    assert told == [(None, None), (0, 0)]


def test_an_account_that_paid_between_two_closes_is_churned_for_an_unknown_reason(
    compile_models: CompileModels,
) -> None:
    rows = [
        subscription("S", date(2024, 2, 1), date(2024, 3, 10)),
        subscription("T", date(2024, 5, 5), date(2024, 5, 9)),
        subscription("S", date(2024, 2, 5), date(2024, 2, 9), account_id="B"),
    ]
    world = World(
        AS_OF,
        accounts=[account("A", segment="all"), account("B")],
        subscriptions=rows,
        cancellations=[cancellation(date(2024, 3, 9), reason_code="price")],
    )
    told = {
        "objective_id": "O",
        "metric_name": "mrr",
        "segment": "all",
        "direction": "increase",
        "target": 10.0,
        "period_grain": "month",
        "valid_from": START,
    }
    marts = built(compile_models, world, {"seeds__objectives": [told]})
    found = {row["account_id"]: row for row in marts["mart_account_360"]}
    assert {row["lifecycle_stage"] for row in found.values()} == {"churned"}
    assert (found["A"]["churns"], found["A"]["last_churn_reason"]) == (2, "unknown")
    # What the whole company misses is not missed by a segment of that name.
    assert found["A"]["segment_objectives_off_track"] is None


# The back-test


def company(seed: int, *, low_usage_causes_churn: bool) -> tuple[World, Tables]:
    """A hundred accounts of which half leave in the second half of the year before as-of.

    Where low usage causes churn, those who leave stop using the product sixty days before; else as
    many stop, whoever leaves and whenever.
    """
    rng = Random(seed)
    accounts = [f"acc{n:03}" for n in range(100)]
    leaving = set(rng.sample(accounts, 50))
    fading = leaving if low_usage_causes_churn else set(rng.sample(accounts, 50))
    start, as_of = date(2023, 7, 3), AS_OF
    ends = {name: date(2024, 1, 5) + timedelta(rng.randrange(150)) for name in accounts}
    fades = (
        ends
        if low_usage_causes_churn
        else dict(zip(accounts, rng.sample(list(ends.values()), 100), strict=True))
    )
    events = []
    for name in accounts:
        quiet_from = fades[name] - timedelta(60) if name in fading else as_of
        day = start + timedelta(rng.randrange(7))
        while day < min(quiet_from, ends[name] if name in leaving else as_of):
            events.append(used(name, midnight(day) + timedelta(hours=9)))
            day += timedelta(rng.choice((3, 4)))
    world = World(
        as_of,
        accounts=[account(name) for name in accounts],
        subscriptions=[
            subscription(
                f"S-{name}", start, ends[name] if name in leaving else None, account_id=name
            )
            for name in accounts
        ],
    )
    weights = [
        component("days_since_last_event", 1, 28, 3),
        component("usage_change", 1, -0.5, 0),
    ]
    return world, {"product__events": events, "seeds__health_weights": weights}


@pytest.fixture(scope="module", params=[True, False], ids=["usage matters", "usage does not"])
def backtest(request: pytest.FixtureRequest, compile_models: CompileModels) -> Row:
    world, tables = company(1, low_usage_causes_churn=request.param)
    return {
        "matters": request.param,
        "world": world,
        "marts": built(compile_models, world, tables),
    }


def test_the_backtest_separates_where_low_usage_causes_churn_and_only_there(backtest: Row) -> None:
    rows = backtest["marts"]["mart_health_backtest"]
    [pooled] = [row for row in rows if (row["scope"], row["band"]) == ("all", "total")]
    if backtest["matters"]:
        assert pooled["auc"] > 0.7
        assert pooled["top_decile_lift"] > 1.5
    else:
        assert 0.4 < pooled["auc"] < 0.6


def test_the_backtest_equals_a_recount_of_every_pair(backtest: Row) -> None:
    ends = {
        row["account_id"]: row["ended_at"]
        for row in backtest["world"].subscriptions
        if row["ended_at"]
    }
    by_close: dict[date, list[tuple[float | None, str, bool]]] = {}
    for row in backtest["marts"]["mart_customer_health"]:
        close = midnight(row["period_end"])
        if row["is_paying"] and close + timedelta(90) <= midnight(AS_OF + timedelta(1)):
            end = ends.get(row["account_id"])
            left = end is not None and close <= end < close + timedelta(90)
            found = by_close.setdefault(row["period_start"], [])
            found.append((row["health_score"], row["band"], left))
    assert by_close
    rows = backtest["marts"]["mart_health_backtest"]
    monthly = {(r["period_start"], r["band"]): r for r in rows if r["scope"] == "month"}
    assert {period for period, _ in monthly} == set(by_close)
    for period, seen in by_close.items():
        total = monthly[period, "total"]
        assert (total["accounts"], total["churned_accounts"]) == (
            len(seen),
            sum(left for *_, left in seen),
        )
        for band in {band for _, band, _ in seen}:
            of_band = [left for _, its_band, left in seen if its_band == band]
            row = monthly[period, band]
            assert (row["accounts"], row["churned_accounts"]) == (len(of_band), sum(of_band))
        gone = [score for score, _, left in seen if left and score is not None]
        stay = [score for score, _, left in seen if not left and score is not None]
        pairs = [(a < b) + (a == b) / 2 for a, b in product(gone, stay)]
        expected = sum(pairs) / len(pairs) if pairs else None
        assert total["auc"] == (None if expected is None else pytest.approx(expected))


def test_equal_scores_of_one_account_rank_in_the_order_of_their_months(
    compile_models: CompileModels,
) -> None:
    # Ten closes of one account with one score, of which the last three were followed by churn; one
    # of them is the lowest decile, and it is the oldest.
    world = World(
        AS_OF,
        accounts=[account("A")],
        subscriptions=[subscription("S", date(2023, 4, 1), date(2024, 3, 20))],
    )
    answers = [
        survey_answer("A", "neutral", date(2023, 4, 1) + timedelta(20 * n)) for n in range(18)
    ]
    tables = {
        "derived__survey_responses": answers,
        "seeds__health_weights": [component("survey_answers", 1, 0, 100)],
    }
    rows = built(compile_models, world, tables)["mart_health_backtest"]
    [pooled] = [row for row in rows if (row["scope"], row["band"]) == ("all", "total")]
    assert (pooled["accounts"], pooled["top_decile_lift"]) == (11, 0)


def test_a_close_that_has_not_been_watched_long_enough_is_absent(backtest: Row) -> None:
    rows = backtest["marts"]["mart_health_backtest"]
    assert max(row["period_start"] for row in rows) == date(2024, 3, 1)
