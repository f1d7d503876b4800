"""Rows that contradict other exports or themselves: each is counted, and has a fate."""

import json
from collections import Counter
from contextlib import closing
from datetime import date, datetime
from typing import Any

import pytest
import ravenstack
from models import CompileModels, rows_of
from oracle import Policies, World
from rows import (
    account,
    cancellation,
    event,
    ledger_line,
    mention,
    order,
    raw_row,
    subscription,
    ticket,
    touch,
    user,
)

NAMES = ("mart_data_quality", "warn_exports_disagree")
AS_OF = date(2024, 12, 31)
SIGNED_UP = datetime(2024, 3, 1, 12)
BEFORE, AFTER = datetime(2024, 2, 1), datetime(2024, 4, 1)


def disagreements(
    compile_models: CompileModels, world: World, **tables: Any
) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The rows of mart_data_quality by system, export and check."""
    models = compile_models(Policies(), NAMES)
    with closing(models.build(world, **tables)) as database:
        mart = rows_of(database, "mart_data_quality")
        warned = models.broken_identities(database).get("warn_exports_disagree", [])
    found = {(row["system"], row["export"], row["check_name"]): row for row in mart}
    assert len(found) == len(mart)
    assert {key[:3] for key in warned} == {
        key for key, row in found.items() if row["severity"] == "warn" and row["failures"]
    }
    return found


ABOUT = {"sent_at": AFTER, "responded_at": AFTER, "survey_type": "nps", "respondent_id": "R"}
WORLD = World(
    AS_OF,
    [
        subscription("S1", AFTER),
        subscription("S2", AFTER, account_id="X"),
        subscription("S3", AFTER, status="canceled"),
        subscription("S4", AFTER, AFTER),
        subscription("S5", AFTER, currency="XAU"),
    ],
    [account("A", signed_up_at=SIGNED_UP)],
    [cancellation(AFTER), cancellation(AFTER, account_id="X")],
    orders=[order("O1", AFTER), order("O2", BEFORE), order("O3", BEFORE, account_id="X")],
)
TABLES = {
    "billing__invoices": [
        raw_row("billing__invoices", invoice_id="I", account_id="X", issued_at=AFTER, status="open")
    ],
    "product__events": [
        *(event(f"E{index}", AFTER) for index in range(5)),
        *(event(f"B{index}", BEFORE) for index in range(2)),
        event("X", AFTER, account_id="X"),
        event("sign-up", SIGNED_UP.replace(hour=1)),
    ],
    "support__tickets": [
        ticket("T1", AFTER),
        ticket("T2", BEFORE),
        ticket("T3", AFTER, account_id="X", calendar="moon"),
        ticket("T4", AFTER, account_id=None, satisfaction_score=9),
        ticket("T5", AFTER, solved_at=BEFORE, first_replied_at=BEFORE, status="solved"),
        ticket("T6", AFTER, status="closed"),
    ],
    "surveys__responses": [
        raw_row("surveys__responses", response_id="R1", account_id="A", **ABOUT),
        raw_row("surveys__responses", response_id="R2", account_id="X", **ABOUT),
        raw_row("surveys__responses", response_id="R3", **ABOUT | {"survey_type": "stars"}),
    ],
    "surveys__invitations": [
        raw_row("surveys__invitations", invitation_id="V1", survey_type="nps", sent_at=AFTER),
    ],
    "communications__touchpoints": [
        touch(f"C{index}", AFTER, name, sentiment=sentiment)
        for index, (name, sentiment) in enumerate([("A", 0.5), ("X", 2.0)])
    ],
    "listening__mentions": [
        mention(f"M{index}", AFTER, account_id=name, rating=9.0, rating_max=rating_max)
        for index, (name, rating_max) in enumerate([("A", 10.0), ("X", 5.0), (None, 10.0)])
    ],
    "crm__users": [user(f"U{name}", name, created_at=AFTER) for name in "AX"],
    "crm__desired_outcomes": [
        raw_row("crm__desired_outcomes", outcome_id="D", account_id="X", stated_outcome="growth")
    ],
    "people__csm_assignments": [
        raw_row("people__csm_assignments", account_id="X", csm_owner="C", assigned_at=AFTER)
    ],
}
# (system/export, check): failures of rows, by hand.
BY_HAND = {
    ("billing/subscriptions", "unknown_account"): (1, 5),
    ("billing/subscriptions", "canceled_without_end"): (1, 5),
    ("billing/subscriptions", "ends_before_it_starts"): (1, 5),
    ("billing/subscriptions", "without_mrr"): (1, 5),
    ("billing/cancellations", "unknown_account"): (1, 2),
    ("billing/invoices", "unknown_account"): (1, 1),
    ("orders/orders", "unknown_account"): (1, 3),
    ("orders/orders", "before_sign_up"): (1, 3),
    ("product/events", "unknown_account"): (1, 9),
    ("product/events", "before_sign_up"): (2, 9),
    ("product/events", "outside_contract"): (3, 9),
    ("support/tickets", "unknown_account"): (1, 6),
    ("support/tickets", "no_account"): (1, 6),
    ("support/tickets", "before_sign_up"): (1, 6),
    ("support/tickets", "solved_before_created"): (1, 6),
    ("support/tickets", "replied_before_created"): (1, 6),
    ("support/tickets", "status_disagrees_with_solved_at"): (1, 6),
    ("support/tickets", "unknown_calendar"): (1, 6),
    ("support/tickets", "rating_off_scale"): (1, 6),
    ("surveys/responses", "unknown_account"): (1, 3),
    ("surveys/responses", "no_account"): (1, 3),
    ("surveys/responses", "unknown_survey_type"): (1, 3),
    ("surveys/invitations", "unknown_account"): (0, 1),
    ("surveys/invitations", "no_account"): (1, 1),
    ("communications/touchpoints", "unknown_account"): (1, 2),
    ("communications/touchpoints", "sentiment_off_scale"): (1, 2),
    ("listening/mentions", "unknown_account"): (1, 3),
    ("listening/mentions", "no_account"): (1, 3),
    ("listening/mentions", "rating_off_scale"): (1, 3),
    ("crm/users", "unknown_account"): (1, 2),
    ("crm/desired_outcomes", "unknown_account"): (1, 1),
    ("people/csm_assignments", "unknown_account"): (1, 1),
}


def test_each_bad_row_of_each_export_is_counted_by_one_check(
    compile_models: CompileModels,
) -> None:
    mart = disagreements(compile_models, WORLD, **TABLES)
    found = {
        (f"{system}/{export}", check): (row["failures"], row["rows"])
        for (system, export, check), row in mart.items()
    }
    assert found == BY_HAND
    examples = {row["check_name"]: row["examples"] for row in mart.values() if row["failures"]}
    assert examples["solved_before_created"] == ["T5"]
    assert examples["canceled_without_end"] == ["S3"]
    assert mart["product", "events", "before_sign_up"]["share"] == pytest.approx(2 / 9)
    assert mart["product", "events", "before_sign_up"]["match_rate"] == pytest.approx(7 / 9)


def test_a_world_without_faults_has_every_check_and_no_failure(
    compile_models: CompileModels,
) -> None:
    world = World(AS_OF, [subscription("S", AFTER)], [account("A", signed_up_at=SIGNED_UP)])
    mart = disagreements(compile_models, world, support__tickets=[ticket("T", AFTER)])
    assert {key[:2] for key in mart} == {("billing", "subscriptions"), ("support", "tickets")}
    assert {(row["failures"], row["share"], row["match_rate"]) for row in mart.values()} == {
        (0, 0.0, 1.0)
    }


def test_use_is_outside_a_contract_on_days_that_no_subscription_covers(
    compile_models: CompileModels,
) -> None:
    # A trial, then a subscription with another in the middle of it, then nothing; B never bought.
    rows = [
        subscription("T", datetime(2024, 4, 1, 18), date(2024, 4, 9), status="trialing"),
        subscription("S", date(2024, 4, 10), date(2024, 7, 10)),
        subscription("U", date(2024, 5, 10), date(2024, 6, 10)),
    ]
    world = World(AS_OF, rows, [account(name, signed_up_at=SIGNED_UP) for name in "AB"])
    within = [datetime(2024, 4, 1, 9), datetime(2024, 4, 8), datetime(2024, 7, 9, 23)]
    outside = [datetime(2024, 3, 31), datetime(2024, 4, 9), datetime(2024, 7, 10)]
    events = [event(f"E{index}", at) for index, at in enumerate([*within, *outside])]
    found = disagreements(
        compile_models, world, product__events=[*events, event("B", AFTER, account_id="B")]
    )["product", "events", "outside_contract"]
    assert (found["failures"], found["rows"], found["examples"]) == (4, 7, ["A", "A", "A", "B"])
    nothing_sold = World(AS_OF, accounts=world.accounts)
    untold = disagreements(compile_models, nothing_sold, product__events=events)
    assert untold["product", "events", "outside_contract"]["failures"] == 0


def test_what_landed_is_told_with_its_age_and_its_rejects(compile_models: CompileModels) -> None:
    ledger = [
        ledger_line(export, day, seq, rows_in=10, reasons=json.dumps(reasons))
        for seq, (export, day, reasons) in enumerate(
            [
                ("crm/accounts", AS_OF, {}),
                ("support/tickets", date(2024, 12, 28), {"conflicting_key": 2}),
                ("support/tickets", date(2024, 12, 29), {"conflicting_key": 1, "missing": 4}),
            ]
        )
    ]
    world = World(AS_OF, accounts=[account("A")])
    tickets = [ticket("T", AFTER, landing_date=date(2024, 12, 29))]
    mart = disagreements(compile_models, world, support__tickets=tickets, lake__extractions=ledger)
    rejected = {
        key: (row["failures"], row["rows"])
        for key, row in mart.items()
        if row["fate"] == "rejected"
    }
    assert rejected == {
        ("support", "tickets", "conflicting_key"): (3, 20),
        ("support", "tickets", "missing"): (4, 20),
    }
    assert {row["freshness_hours"] for key, row in mart.items() if key[0] == "support"} == {48}


@pytest.mark.skipif(ravenstack.folder() is None, reason="REFERENCE_DATA is not set")
def test_ravenstack_disagreements_equal_a_plain_count(compile_models: CompileModels) -> None:
    tables = ("accounts", "subscriptions", "support_tickets", "feature_usage", "churn_events")
    files = {name: ravenstack.read(name) for name in tables}
    raw = {f"ravenstack__{name}": ravenstack.raw(name) for name in tables}
    mart = disagreements(compile_models, World(ravenstack.AS_OF), **raw)
    found = {key[1:]: row["failures"] for key, row in mart.items()}
    signed_up = {row["account_id"]: row["signup_date"] for row in files["accounts"]}
    lives = {row["subscription_id"]: row for row in files["subscriptions"]}
    plain = Counter[tuple[str, str]]()
    for row in files["support_tickets"]:
        plain["support_tickets", "before_sign_up"] += (
            row["submitted_at"] < signed_up[row["account_id"]]
        )
    for row in files["feature_usage"]:
        life = lives[row["subscription_id"]]
        plain["feature_usage", "before_sign_up"] += (
            row["usage_date"] < signed_up[life["account_id"]]
        )
        plain["feature_usage", "outside_subscription"] += not (
            life["start_date"] <= row["usage_date"] <= (life["end_date"] or "9999")
        )
    assert plain["support_tickets", "before_sign_up"] == 1077
    assert plain["feature_usage", "outside_subscription"] == 19432
    assert {key: count for key, count in found.items() if count} == dict(plain)
