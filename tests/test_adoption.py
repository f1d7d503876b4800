"""Adoption and the people side of churn: compiled SQL against plain Python, and examples."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import date, datetime, time, timedelta
from typing import Any

import duckdb
import oracle_adoption
import pytest
import ravenstack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import CompileModels, rows_of
from oracle import Policies, Row, World, keep_book
from oracle_adoption import Company, Settings, depth_band, people, user_state, wilson
from rows import account, event, raw_row, subscription, user
from strategies import worlds

MARTS = (
    "dim_features",
    "mart_feature_adoption",
    "mart_product_adoption",
    "mart_rate_of_adoption",
    "mart_adoption_outcomes",
    "mart_churn_scoreboard",
)
JUNE = date(2024, 6, 1)
AS_OF = date(2024, 6, 30)  # a Sunday: the last complete weeks begin on 3, 10, 17 and 24 June


def rule(version: str = "v1", **columns: Any) -> dict[str, Any]:
    """The example of the definition: three logins a week and the key action in every session."""
    return {
        "rule_version": version,
        "valid_from": date(2020, 1, 1),
        "segment": None,
        "login_event": "login",
        "min_logins_per_week": 3,
        "min_weeks": 3,
        "window_weeks": 4,
        "key_event": "report_created",
        "min_share_of_sessions": 1,
        "min_tenure_days": 28,
    } | columns


def feature(name: str, tier: str = "basic", **columns: Any) -> dict[str, Any]:
    return {
        "feature": name,
        "plan_tier": tier,
        "is_core": False,
        "released_on": None,
        "retired_on": None,
    } | columns


def session(
    day: date,
    *events: str,
    account_id: str = "A",
    user: str | None = "u1",
    hour: int = 9,
    **columns: Any,
) -> list[dict[str, Any]]:
    """Events of one session, a minute apart; `events` are names, or feature_used of `feature`."""
    name = f"{account_id}-{user}-{day}-{hour}"
    return [
        event(
            f"{name}-{number}",
            datetime.combine(day, time(hour)) + timedelta(minutes=number),
            account_id=account_id,
            user_id=user,
            event_name=done if done in ("login", "report_created") else "feature_used",
            feature=None if done in ("login", "report_created") else done,
            **{"session_id": name} | columns,
        )
        for number, done in enumerate(events)
    ]


def habit(
    first: date, weeks: int, per_week: int, *events: str, **columns: Any
) -> list[dict[str, Any]]:
    """`per_week` sessions in each of `weeks` weeks, on the days from `first` on."""
    return [
        row
        for week in range(weeks)
        for number in range(per_week)
        for row in session(
            first + timedelta(days=7 * week + number % 7), *events, hour=9 + number // 7, **columns
        )
    ]


def assignment(owner: str, assigned: datetime, account_id: str = "A") -> dict[str, Any]:
    return raw_row(
        "people__csm_assignments", account_id=account_id, csm_owner=owner, assigned_at=assigned
    )


def paying(*names: str, start: date = date(2024, 1, 1), **columns: Any) -> World:
    """Accounts that have paid for ten seats of the tier basic since `start`."""
    return World(
        AS_OF,
        [
            subscription(f"S-{name}", start, account_id=name, quantity=10, **columns)
            for name in names
        ],
        [account(name, signed_up_at=datetime.combine(start, time())) for name in names],
    )


def company_of(world: World, events: Sequence[Row] = (), **parts: Any) -> Company:
    return Company(keep_book(world), events, **{"rules": (rule(),), "catalog": (), **parts})


WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def built(compile_models: CompileModels, company: Company) -> duckdb.DuckDBPyConnection:
    """The marts of `company`, from the compiled SQL."""
    variables = asdict(company.settings)
    variables["week_start"] = WEEKDAYS[variables.pop("week_begins")]
    models = compile_models(company.book.policies, MARTS, **variables)
    return models.build(
        company.book.world,
        product__events=company.events,
        crm__users=company.users,
        people__csm_assignments=company.assignments,
        seeds__adoption_rules=company.rules,
        seeds__feature_catalog=company.catalog,
    )


def mart(compile_models: CompileModels, company: Company, name: str) -> list[dict[str, Any]]:
    with closing(built(compile_models, company)) as database:
        return rows_of(database, name)


def adoption(
    compile_models: CompileModels, company: Company, month: date = JUNE, account_id: str = "A"
) -> dict[str, Any]:
    [row] = [
        row
        for row in mart(compile_models, company, "mart_product_adoption")
        if (row["account_id"], row["period_start"]) == (account_id, month)
    ]
    return row


def scoreboard(
    compile_models: CompileModels, company: Company, month: date = JUNE
) -> dict[str, Any]:
    [row] = [
        row
        for row in mart(compile_models, company, "mart_churn_scoreboard")
        if (row["slice_dimension"], row["period_start"]) == ("total", month)
    ]
    return row


# ------------------------------------------------------------------------------- worked examples


@pytest.mark.parametrize(("logins", "state"), [(10, "healthy"), (9, "active"), (0, "inactive")])
def test_example_35_a_user_is_healthy_active_or_inactive_by_logins_in_28_days(
    compile_models: CompileModels, logins: int, state: str
) -> None:
    inside = [row for n in range(logins) for row in session(date(2024, 6, 3 + n), "login")]
    outside = session(date(2024, 6, 2), "login") * 1  # the 29th day before the close
    row = adoption(compile_models, company_of(paying("A"), [*inside, *outside]))
    states = {name: row[f"{name}_users"] for name in ("healthy", "active", "inactive")}
    assert states == {"healthy": 0, "active": 0, "inactive": 0} | {state: 1}
    assert user_state(logins, 1) == state


@pytest.mark.parametrize(
    ("share", "band"),
    [(50, "green"), (35, "lime"), (20, "yellow"), (10, "orange"), (0, "red")],
)
def test_example_36_bands_of_depth_by_the_share_of_healthy_users(
    compile_models: CompileModels, share: int, band: str
) -> None:
    world = paying("A")
    world.subscriptions[0]["quantity"] = 20  # type: ignore[index]
    events = session(date(2024, 6, 3), "login", user="u0")
    for number in range(share // 5):
        events += habit(date(2024, 6, 10), 1, 10, "login", user=f"healthy-{number}")
    row = adoption(compile_models, company_of(world, events))
    assert (row["depth"], row["depth_band"]) == (share / 100, band)
    assert depth_band(share / 100) == band


EVERY_SESSION = habit(date(2024, 6, 3), 3, 3, "login", "report_created")
VERDICTS: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "three logins in three of four weeks, the key action in every session": (EVERY_SESSION, True),
    "one session without the key action": (
        [*EVERY_SESSION, *session(date(2024, 6, 28), "login")],
        False,
    ),
    "only two such weeks": (habit(date(2024, 6, 3), 2, 3, "login", "report_created"), False),
    "only two logins in each week": (
        habit(date(2024, 6, 3), 4, 2, "login", "report_created"),
        False,
    ),
    "the first of the weeks lies before the window": (
        habit(date(2024, 5, 27), 3, 3, "login", "report_created"),
        False,
    ),
    "a session of two persons' logins counts for the account": (
        [
            *habit(date(2024, 6, 3), 3, 2, "login", "report_created"),
            *habit(date(2024, 6, 3), 3, 1, "login", "report_created", user="u2"),
        ],
        True,
    ),
}


@pytest.mark.parametrize(("events", "is_adopted"), VERDICTS.values(), ids=VERDICTS.keys())
def test_the_missions_rule(
    compile_models: CompileModels, events: list[dict[str, Any]], is_adopted: bool
) -> None:
    row = adoption(compile_models, company_of(paying("A"), events))
    assert (row["eligibility"], row["is_fully_adopted"]) == ("eligible", is_adopted)


def test_a_window_ends_with_the_last_complete_week_of_an_incomplete_month(
    compile_models: CompileModels,
) -> None:
    # As of Wednesday 26 June the complete weeks begin on 27 May, 3, 10 and 17 June.
    events = habit(date(2024, 5, 27), 3, 3, "login", "report_created")
    world = replace(paying("A"), as_of=date(2024, 6, 26))
    row = adoption(compile_models, company_of(world, events))
    assert row["is_fully_adopted"]
    assert not row["is_complete_period"]


@pytest.mark.parametrize(("week_begins", "is_adopted"), [(0, False), (6, True)])
def test_weeks_begin_where_the_policy_says(
    compile_models: CompileModels, week_begins: int, is_adopted: bool
) -> None:
    # Three logins from Sunday to Tuesday: one week from Sunday on, two weeks from Monday on.
    events = habit(date(2024, 6, 2), 3, 3, "login", "report_created")
    company = company_of(paying("A"), events, settings=Settings(week_begins=week_begins))
    assert adoption(compile_models, company)["is_fully_adopted"] is is_adopted


@pytest.mark.parametrize(("share", "is_adopted"), [(0.5, True), (0.6, False)])
def test_a_rule_for_users_is_lifted_to_the_account_by_their_share(
    compile_models: CompileModels, share: float, is_adopted: bool
) -> None:
    events = [*EVERY_SESSION, *session(date(2024, 6, 20), "login", user="u2")]
    company = company_of(paying("A"), events, settings=Settings(min_share_of_users=share))
    assert adoption(compile_models, company)["is_fully_adopted"] is is_adopted


def test_users_who_are_not_active_are_no_part_of_the_share(compile_models: CompileModels) -> None:
    # Two that log in and create nothing stand beside the one that does.
    events = [*EVERY_SESSION]
    for name in ("u2", "u3"):
        events += habit(date(2024, 6, 3), 3, 3, "login", user=name)
    policies = Settings(min_share_of_users=0.5, active_events="report_created")
    company = company_of(paying("A"), events, settings=policies)
    assert adoption(compile_models, company)["is_fully_adopted"]
    months = oracle_adoption.product_adoption(company)
    assert [row["is_fully_adopted"] for row in months if row["period_start"] == JUNE] == [True]


def test_an_account_without_an_active_user_has_not_adopted(compile_models: CompileModels) -> None:
    events = habit(date(2024, 6, 3), 3, 3, "login")
    policies = Settings(min_share_of_users=0.5, active_events="report_created")
    row = adoption(compile_models, company_of(paying("A"), events, settings=policies))
    assert (row["eligibility"], row["is_fully_adopted"]) == ("eligible", False)


# ------------------------------------------------------------------------------------ versions


def test_a_changed_rule_is_told_apart_from_changed_behaviour(compile_models: CompileModels) -> None:
    strict = rule("v2", valid_from=JUNE, min_logins_per_week=4)
    events = habit(date(2024, 4, 1), 13, 3, "login", "report_created")
    company = company_of(paying("A"), events, rules=(rule(), strict))
    may = adoption(compile_models, company, date(2024, 5, 1))
    june = adoption(compile_models, company)
    assert (may["rule_version"], may["is_fully_adopted"]) == ("v1", True)
    assert (may["rule_version_now"], may["is_fully_adopted_now"]) == ("v2", False)
    assert (june["rule_version"], june["is_fully_adopted"]) == ("v2", False)
    rates = {
        row["period_start"]: (row["rate"], row["rate_now"])
        for row in mart(compile_models, company, "mart_rate_of_adoption")
        if row["slice_dimension"] == "total"
    }
    assert rates[date(2024, 5, 1)] == (1.0, 0.0)
    assert rates[JUNE] == (0.0, 0.0)


def test_a_rule_of_the_segment_goes_before_a_newer_one_for_all(
    compile_models: CompileModels,
) -> None:
    rules = (
        rule("all", valid_from=date(2024, 3, 1)),
        rule("mid", segment="mid", min_logins_per_week=9),
        rule("other", segment="other"),
    )
    company = company_of(paying("A"), EVERY_SESSION, rules=rules)
    row = adoption(compile_models, company)
    assert (row["rule_version"], row["is_fully_adopted"]) == ("mid", False)


def test_rules_of_one_version_that_differ_by_segment_are_two(compile_models: CompileModels) -> None:
    later = rule(segment="mid", valid_from=date(2024, 6, 15), min_logins_per_week=9)
    habits = habit(date(2024, 4, 29), 4, 3, "login", "report_created")
    company = company_of(paying("A"), habits, rules=(rule(), later))
    may = adoption(compile_models, company, date(2024, 5, 1))
    assert (may["rule_version"], may["rule_version_now"]) == ("v1", "v1")
    assert (may["is_fully_adopted"], may["is_fully_adopted_now"]) == (True, False)
    assert may["window_logins"] == 12


def test_before_the_first_rule_nothing_is_known(compile_models: CompileModels) -> None:
    company = company_of(paying("A"), EVERY_SESSION, rules=(rule(valid_from=AS_OF),))
    may = adoption(compile_models, company, date(2024, 5, 1))
    assert (may["eligibility"], may["eligibility_reason"]) == ("unknown", "no_rule")
    assert adoption(compile_models, company)["eligibility"] == "eligible"


# --------------------------------------------------------------------------------- eligibility


@pytest.mark.parametrize(
    ("started", "eligibility"),
    [(date(2024, 6, 3), "eligible"), (date(2024, 6, 4), "not_eligible")],
)
def test_an_account_is_judged_from_28_days_of_paid_time_on(
    compile_models: CompileModels, started: date, eligibility: str
) -> None:
    company = company_of(paying("A", start=started), EVERY_SESSION)
    assert adoption(compile_models, company)["eligibility"] == eligibility


def test_who_pays_nothing_at_the_close_is_not_eligible_and_no_failure(
    compile_models: CompileModels,
) -> None:
    world = World(
        AS_OF,
        [subscription("S", date(2024, 1, 1), date(2024, 6, 20))],
        [account("A"), account("B")],
    )
    company = company_of(world, EVERY_SESSION)
    for name in "AB":
        row = adoption(compile_models, company, account_id=name)
        assert (row["eligibility"], row["eligibility_reason"]) == ("not_eligible", "not_paying")
        assert row["is_fully_adopted"] is None


UNTOLD: dict[str, tuple[list[dict[str, Any]], str]] = {
    "the export never arrived": ([], "no_usage_export"),
    "it tells of others only": (
        habit(date(2024, 6, 3), 3, 3, "login", "report_created", account_id="B"),
        "no_usage_of_account",
    ),
    "it tells neither logins nor key actions": (
        session(date(2024, 6, 3), "dashboards"),
        "no_events_of_rule",
    ),
    "it tells no sessions": (
        habit(date(2024, 6, 3), 3, 3, "login", "report_created", session_id=None),
        "no_detail",
    ),
}


@pytest.mark.parametrize(("events", "reason"), UNTOLD.values(), ids=UNTOLD.keys())
def test_what_is_not_told_is_unknown_and_never_zero(
    compile_models: CompileModels, events: list[dict[str, Any]], reason: str
) -> None:
    company = company_of(paying("A"), events)
    with closing(built(compile_models, company)) as database:
        [row] = [
            row for row in rows_of(database, "mart_product_adoption") if row["period_start"] == JUNE
        ]
        [total] = [
            row
            for row in rows_of(database, "mart_rate_of_adoption")
            if (row["slice_dimension"], row["period_start"]) == ("total", JUNE)
        ]
    assert (row["eligibility"], row["eligibility_reason"]) == ("unknown", reason)
    assert row["is_fully_adopted"] is None
    assert (total["unknown"], total["eligible"], total["rate"]) == (1, 0, None)
    assert (total["coverage"], total["reason_null"]) == (0.0, "unknown")
    if reason != "no_detail":
        assert row["frequency"] is None


def test_too_few_logins_are_a_failure_although_no_session_is_told(
    compile_models: CompileModels,
) -> None:
    company = company_of(paying("A"), session(date(2024, 6, 3), "login", session_id=None))
    row = adoption(compile_models, company)
    assert (row["eligibility"], row["is_fully_adopted"]) == ("eligible", False)


# ------------------------------------------------------------------------------------ features


def features(
    compile_models: CompileModels, company: Company, month: date = JUNE
) -> dict[str, dict[str, Any]]:
    return {
        row["feature"]: row
        for row in mart(compile_models, company, "mart_feature_adoption")
        if row["period_start"] == month
    }


def test_every_state_of_a_feature(compile_models: CompileModels) -> None:
    world = paying("adopted", "tried", "dropped", "never", "no_plan")
    world.subscriptions[-1]["plan_tier"] = "mini"  # type: ignore[index]
    events = [
        *habit(date(2024, 6, 3), 3, 1, "audit", account_id="adopted"),
        *session(date(2024, 6, 3), "audit", account_id="tried"),
        *habit(date(2024, 4, 1), 4, 1, "audit", account_id="dropped"),
        *session(date(2024, 6, 3), "audit", account_id="no_plan"),
        *session(date(2024, 6, 3), "audit", account_id="stranger"),
    ]
    company = company_of(world, events, catalog=(feature("audit"), feature("mail", "mini")))
    found = features(compile_models, company)
    counts = ("entitled_accounts", "tried", "adopted", "dropped", "never_tried")
    assert [found["audit"][name] for name in counts] == [4, 1, 1, 1, 1]
    assert (found["audit"]["not_entitled"], found["audit"]["not_entitled_paying"]) == (2, 1)
    assert (found["audit"]["adoption_rate"], found["audit"]["tried_rate"]) == (0.25, 0.75)
    assert [found["mail"][name] for name in counts] == [1, 0, 0, 0, 1]


def test_a_feature_that_nobody_lists_is_kept_and_its_entitlement_unknown(
    compile_models: CompileModels,
) -> None:
    company = company_of(
        paying("A"), habit(date(2024, 6, 3), 3, 1, "secret"), catalog=(feature("audit"),)
    )
    found = features(compile_models, company)["secret"]
    assert (found["is_in_catalog"], found["reason_null"]) == (False, "not_in_catalog")
    assert (found["adopted"], found["used_accounts"]) == (1, 1)
    assert [found[name] for name in ("entitled_accounts", "never_tried", "not_entitled")] == [
        None
    ] * 3
    assert found["demand_class"] == "unknown"


def test_without_a_catalogue_entitlement_is_unknown_not_zero(compile_models: CompileModels) -> None:
    company = company_of(paying("A"), session(date(2024, 6, 3), "login", "audit"))
    with closing(built(compile_models, company)) as database:
        [audit] = rows_of(database, "mart_feature_adoption")
        june = [r for r in rows_of(database, "mart_product_adoption") if r["period_start"] == JUNE]
    assert audit["entitled_accounts"] is None
    assert audit["tried"] == 1
    assert (june[0]["breadth"], june[0]["features_used"]) == (None, 1)


@pytest.mark.parametrize(
    ("dates", "entitled"),
    [
        ({"released_on": date(2024, 6, 30)}, 1),
        ({"released_on": date(2024, 7, 1)}, 0),
        ({"retired_on": date(2024, 7, 1)}, 1),
        ({"retired_on": date(2024, 6, 30)}, 0),
    ],
    ids=["released on the last day", "the day after", "retired the day after", "on the last day"],
)
def test_release_and_retirement_bound_what_accounts_are_entitled_to(
    compile_models: CompileModels, dates: dict[str, Any], entitled: int
) -> None:
    events = session(date(2024, 6, 3), "audit")
    company = company_of(paying("A"), events, catalog=(feature("audit", **dates),))
    found = features(compile_models, company)["audit"]
    assert found["entitled_accounts"] == entitled
    # It was used while it was there, or before it was there for anybody.
    assert found["not_entitled"] == int(dates.get("released_on") == date(2024, 7, 1))
    assert (found["demand_class"] == "retired") == (dates.get("retired_on") == date(2024, 6, 30))


def test_use_by_an_account_that_left_within_the_month_is_not_use_without_entitlement(
    compile_models: CompileModels,
) -> None:
    world = World(AS_OF, [subscription("S", date(2024, 1, 1), date(2024, 6, 20))], [account("A")])
    company = company_of(world, session(date(2024, 6, 3), "audit"), catalog=(feature("audit"),))
    found = features(compile_models, company)["audit"]
    assert (found["entitled_accounts"], found["used_accounts"], found["not_entitled"]) == (0, 1, 0)


# Of ten entitled accounts, how many have tried a feature and how many of those have adopted it.
CLASSES = [
    (8, 5, False, "develop"),
    (8, 1, False, "educate"),
    (3, 2, False, "educate"),
    (3, 0, False, "remove"),
    (3, 0, True, "educate"),
    (0, 0, False, "remove"),
]


@pytest.mark.parametrize(("tried", "kept", "is_core", "demand_class"), CLASSES)
def test_the_demand_class_follows_from_who_tried_and_who_kept(
    compile_models: CompileModels, tried: int, kept: int, is_core: bool, demand_class: str
) -> None:
    names = [f"A{number}" for number in range(10)]
    events = [
        row
        for number, name in enumerate(names[:tried])
        for row in habit(date(2024, 6, 3), 3 if number < kept else 1, 1, "audit", account_id=name)
    ]
    events += session(JUNE, "mail", account_id="A9")
    company = company_of(paying(*names), events, catalog=(feature("audit", is_core=is_core),))
    assert features(compile_models, company)["audit"]["demand_class"] == demand_class


def test_a_feature_just_released_is_not_judged(compile_models: CompileModels) -> None:
    names = [f"A{number}" for number in range(10)]
    catalog = (feature("audit", released_on=date(2024, 5, 1)),)
    company = company_of(paying(*names), session(JUNE, "mail", account_id="A0"), catalog=catalog)
    found = features(compile_models, company)["audit"]
    assert (found["demand_class"], found["never_tried"]) == ("too_early", 10)


def test_a_feature_that_one_tier_always_had_is_not_young(compile_models: CompileModels) -> None:
    names = [f"A{number}" for number in range(10)]
    catalog = (feature("audit"), feature("audit", "pro", released_on=date(2024, 5, 1)))
    company = company_of(paying(*names), session(JUNE, "mail", account_id="A0"), catalog=catalog)
    with closing(built(compile_models, company)) as database:
        released = {r["feature"]: r["released_on"] for r in rows_of(database, "dim_features")}
        june = {r["feature"]: r for r in rows_of(database, "mart_feature_adoption")}
    assert released["audit"] is None
    assert june["audit"]["demand_class"] == "remove"


@pytest.mark.parametrize(
    ("retired", "is_retired"), [(date(2024, 6, 20), False), (date(2024, 6, 10), True)]
)
def test_a_feature_is_retired_from_its_day_on_and_not_before(
    compile_models: CompileModels, retired: date, is_retired: bool
) -> None:
    world = replace(paying("A"), as_of=date(2024, 6, 10))
    catalog = (feature("audit", retired_on=retired),)
    company = company_of(world, session(date(2024, 6, 3), "audit"), catalog=catalog)
    found = features(compile_models, company)["audit"]
    assert (found["demand_class"] == "retired") == is_retired
    assert found["entitled_accounts"] == int(not is_retired)


def test_of_months_before_any_use_of_features_is_told_nothing_is_said(
    compile_models: CompileModels,
) -> None:
    names = [f"A{number}" for number in range(6)]
    untold = company_of(paying(*names), catalog=(feature("audit"),))
    march = date(2024, 3, 1)
    first_use = session(date(2024, 3, 10), "audit", account_id="A1")
    told = replace(untold, events=[*session(date(2024, 2, 1), "login"), *first_use])
    for company, first in ((untold, date.max), (told, march)):
        with closing(built(compile_models, company)) as database:
            by_feature = rows_of(database, "mart_feature_adoption")
            adopting = rows_of(database, "mart_product_adoption")
            sums = rows_of(database, "mart_rate_of_adoption")
        assert {row["period_start"] for row in by_feature} == {
            month for month in (march, date(2024, 4, 1), date(2024, 5, 1), JUNE) if month >= first
        }
        for row in adopting:
            used = row["account_id"] == "A1" and row["period_start"] == march
            expected = (1, int(used), float(used)) if row["period_start"] >= first else (None,) * 3
            found = row["entitled_features"], row["used_entitled_features"], row["breadth"]
            assert found == expected, row
        assert all(row["breadth"] is None for row in sums if row["period_start"] < first)


# ------------------------------------------------------------------------------------ outcomes


def test_only_closes_watched_for_ninety_days_tell_of_churn(compile_models: CompileModels) -> None:
    """Of six accounts one leaves on the 90th day after the close of March, one on the 91st."""
    names = [f"A{number}" for number in range(6)]
    world = paying(*names)
    close = datetime(2024, 4, 1)
    world.subscriptions[0]["ended_at"] = close + timedelta(days=90) - timedelta(seconds=1)  # type: ignore[index]
    world.subscriptions[1]["ended_at"] = close + timedelta(days=90)  # type: ignore[index]
    events = [
        row
        for name in names
        for row in habit(date(2024, 3, 4), 12, 3, "login", "report_created", account_id=name)
    ]
    company = company_of(world, events)
    churn = {
        row["period_start"]: row
        for row in mart(compile_models, company, "mart_adoption_outcomes")
        if row["outcome"] == "churn" and row["adoption_band"] == "full"
    }
    assert max(churn) == date(2024, 3, 1)  # 1 April + 90 days = 30 June, which as-of has seen
    found = churn[date(2024, 3, 1)]
    assert (found["n"], found["value"]) == (6, pytest.approx(1 / 6))
    assert (found["ci_low"], found["ci_high"]) == pytest.approx(wilson(1, 6))
    assert (found["lift"], found["reason_null"]) == (None, "no_rest")


def test_lift_compares_a_band_with_all_others_that_were_judged(
    compile_models: CompileModels,
) -> None:
    world = paying(*"ABCDEF")
    for number in (0, 3, 4):  # A of the adopted, D and E of the others
        world.subscriptions[number]["ended_at"] = datetime(2024, 5, 10)  # type: ignore[index]
    events = [
        row
        for name in "ABC"
        for row in habit(date(2024, 3, 4), 4, 3, "login", "report_created", account_id=name)
    ] + [row for name in "DE" for row in session(date(2024, 3, 4), "login", account_id=name)]
    found = {
        row["adoption_band"]: row
        for row in mart(compile_models, company_of(world, events), "mart_adoption_outcomes")
        if row["outcome"] == "churn" and row["period_start"] == date(2024, 3, 1)
    }
    assert found.keys() == {"full", "partial", "unknown"}
    assert (found["full"]["value"], found["full"]["value_of_rest"]) == pytest.approx((1 / 3, 1.0))
    assert found["full"]["lift"] == pytest.approx(1 / 3)
    assert found["partial"]["lift"] == pytest.approx(3.0)
    assert found["unknown"]["value_of_rest"] == pytest.approx(3 / 5)


def test_the_mean_of_a_band_has_a_normal_interval(compile_models: CompileModels) -> None:
    world = paying("A", "B")
    world.subscriptions[1]["quantity"] = 30  # type: ignore[index]
    events = [
        row
        for name in "AB"
        for row in habit(date(2024, 6, 3), 4, 3, "login", "report_created", account_id=name)
    ]
    [found] = [
        row
        for row in mart(compile_models, company_of(world, events), "mart_adoption_outcomes")
        if (row["outcome"], row["adoption_band"]) == ("lifetime_value", "full")
    ]
    paid = [6 * 10 * 100, 6 * 30 * 100]  # six closes each
    mean = sum(paid) / 2
    deviation = ((paid[0] - mean) ** 2 + (paid[1] - mean) ** 2) ** 0.5
    assert found["value"] == pytest.approx(mean)
    assert found["ci_high"] == pytest.approx(mean + 1.96 * deviation / 2**0.5)


# -------------------------------------------------------------------------------------- people


def test_users_that_fell_silent_in_an_account_that_stayed(compile_models: CompileModels) -> None:
    world = paying("A", "B")
    world.subscriptions[1]["ended_at"] = datetime(2024, 6, 5)  # type: ignore[index]
    events = [
        *session(date(2024, 5, 31), "login", user="goes"),
        *session(date(2024, 5, 31), "login", user="stays"),
        *session(date(2024, 6, 1), "login", user="stays"),
        *session(date(2024, 5, 20), "login", user="of an account that left", account_id="B"),
    ]
    row = scoreboard(compile_models, company_of(world, events))
    assert (row["opening_active_users"], row["silent_users"]) == (2, 1)
    assert row["user_churn_rate"] == 0.5
    assert (row["opening_active_accounts"], row["silent_accounts"]) == (2, 1)
    assert (row["activity_churn_rate"], row["silent_paying_accounts"]) == (0.5, 0)


def test_an_account_that_use_alone_knows_falls_silent_as_unknown(
    compile_models: CompileModels,
) -> None:
    events = [
        *session(date(2024, 5, 20), "login", account_id="nobody knows"),
        *session(date(2024, 5, 20), "login"),
        *session(date(2024, 6, 20), "login"),
    ]
    rows = mart(compile_models, company_of(paying("A"), events), "mart_churn_scoreboard")
    found = {
        (row["slice_dimension"], row["slice_value"]): (
            *(row["opening_active_accounts"], row["silent_accounts"]),
            *(row["opening_accounts"], row["opening_mrr"], row["logo_churn_rate"]),
        )
        for row in rows
        if row["period_start"] == JUNE and row["slice_dimension"] in ("total", "segment")
    }
    assert found == {
        ("total", "all"): (2, 1, 1, 1000, 0),
        ("segment", "mid"): (1, 0, 1, 1000, 0),
        ("segment", "unknown"): (1, 1, 0, 0, None),
    }


def test_rates_of_use_say_why_they_are_null(compile_models: CompileModels) -> None:
    row = scoreboard(compile_models, company_of(paying("A")))
    names = ("user_churn", "activity_churn", "champion_loss", "csm_turnover")
    assert [row[f"{name}_rate"] for name in names] == [None] * 4
    assert [row[f"{name}_reason_null"] for name in names] == ["no_data"] * 4
    assert row["opening_active_users"] is None
    used = scoreboard(compile_models, company_of(paying("A"), session(date(2024, 6, 3), "login")))
    assert used["user_churn_reason_null"] == "no_active_users"
    assert used["activity_churn_reason_null"] == "no_active_accounts"


CHAMPIONS: dict[str, tuple[dict[str, Any], list[dict[str, Any]], int]] = {
    "removed in the month": ({"deactivated_at": datetime(2024, 6, 9)}, [], 1),
    "removed at the very close": ({"deactivated_at": datetime(2024, 7, 1)}, [], 0),
    "silent after a month of use": ({}, session(date(2024, 5, 3), "login"), 1),
    "still there": (
        {},
        [*session(date(2024, 5, 3), "login"), *session(date(2024, 6, 3), "login")],
        0,
    ),
    "never used it": ({}, session(date(2024, 6, 3), "login", user="u2"), 0),
}


@pytest.mark.parametrize(("columns", "events", "lost"), CHAMPIONS.values(), ids=CHAMPIONS.keys())
def test_a_champion_is_lost_when_removed_or_silent(
    compile_models: CompileModels, columns: dict[str, Any], events: list[dict[str, Any]], lost: int
) -> None:
    company = company_of(paying("A"), events, users=[user("u1", is_champion=True, **columns)])
    row = scoreboard(compile_models, company)
    assert (row["champion_accounts"], row["champion_lost_accounts"]) == (1, lost)


def test_a_handover_to_another_manager_is_turnover_and_a_first_or_same_one_is_not(
    compile_models: CompileModels,
) -> None:
    assignments = [
        assignment("ann", datetime(2024, 1, 1)),
        assignment("ann", datetime(2024, 6, 2)),
        assignment("bob", datetime(2024, 6, 20)),
        assignment("cid", datetime(2024, 6, 20), "B"),
        assignment("dan", datetime(2024, 7, 2), "B"),
    ]
    row = scoreboard(compile_models, company_of(paying("A", "B"), assignments=assignments))
    assert (row["csm_changes"], row["csm_turnover_rate"]) == (1, 0.5)


# ---------------------------------------------------------------------------------- properties


@st.composite
def companies(draw: st.DrawFn) -> Company:
    """A random world of revenue with habits of use laid over it, rules and a catalogue."""
    world = draw(worlds())
    # A row whose currency has no rate is in no book, but it is a subscription to features.
    rated = {row["currency"] for row in world.fx_rates if row["rate_date"] <= world.as_of}
    priced = [row for row in world.subscriptions if row["currency"] in rated | {"USD"}]
    world = replace(world, subscriptions=priced)
    names = sorted({row["account_id"] for row in world.subscriptions}) or ["A1"]
    events: list[dict[str, Any]] = []
    seen: set[str] = set()
    for _ in range(draw(st.integers(0, 7))):
        name = draw(st.sampled_from([*names, "nobody"]))
        rows = habit(
            world.as_of - timedelta(days=draw(st.integers(-3, 150))),
            draw(st.integers(1, 9)),
            draw(st.integers(1, 4)),
            *draw(st.sampled_from([("login",), ("login", "report_created"), ("dashboards",)])),
            *draw(st.sampled_from([(), ("audit",), ("secret",)])),
            account_id=name,
            user=draw(st.sampled_from(["u1", "u2", None])),
            **draw(st.sampled_from([{}, {}, {}, {"session_id": None}])),
        )
        events += [row for row in rows if row["event_id"] not in seen]
        seen |= {row["event_id"] for row in rows}
    rules = [
        rule(
            f"v{number}",
            valid_from=valid_from,
            segment=segment,
            min_logins_per_week=draw(st.integers(1, 3)),
            min_weeks=draw(st.integers(1, 3)),
            window_weeks=draw(st.integers(3, 5)),
            min_share_of_sessions=draw(st.sampled_from([0, 0.5, 1])),
            min_tenure_days=draw(st.sampled_from([0, 28, 60])),
        )
        for number, (valid_from, segment) in enumerate(
            draw(
                st.sets(
                    st.tuples(
                        st.sampled_from([date(2023, 1, 1), date(2024, 3, 1), date(2024, 5, 20)]),
                        st.sampled_from([None, "small"]),
                    ),
                    max_size=4,
                )
            )
        )
    ]
    catalog = [
        feature(
            name,
            tier,
            released_on=draw(st.sampled_from([None, date(2024, 2, 10)])),
            retired_on=draw(st.sampled_from([None, date(2024, 5, 1), date(2024, 5, 12)])),
        )
        for name in ("dashboards", "audit")
        for tier in draw(st.sets(st.sampled_from(["basic", "pro"])))
    ]
    users = [
        user(
            f"{name}-{number}" if number == 2 else f"u{number + 1}",
            name,
            is_champion=draw(st.sampled_from([True, True, None])),
            created_at=datetime(2024, 1, 1) + timedelta(days=draw(st.integers(-30, 90))),
            deactivated_at=draw(
                st.sampled_from([None, datetime(2024, 3, 9), datetime(2024, 4, 1)])
            ),
        )
        for name in names[:1]
        for number in range(draw(st.integers(0, 3)))
    ]
    assignments = [
        assignment(draw(st.sampled_from(["ann", "bob"])), at, names[0])
        for at in draw(
            st.sets(
                st.integers(0, 200).map(lambda day: datetime(2024, 1, 1) + timedelta(days=day)),
                max_size=4,
            )
        )
    ]
    return Company(
        keep_book(world),
        events,
        users,
        assignments,
        rules,
        catalog,
        Settings(),
    )


def is_same(found: Any, expected: Any) -> bool:
    if isinstance(expected, float) and found is not None:
        return bool(found == pytest.approx(expected))
    return bool(found == expected)


def unlike(
    found: list[dict[str, Any]], expected: list[dict[str, Any]], *keys: str
) -> Iterator[str]:
    """Every cell of `expected` that the mart shows otherwise, and every row it lacks or adds."""
    rows = {tuple(row[key] for key in keys): row for row in found}
    wanted = {tuple(row[key] for key in keys): row for row in expected}
    for key in rows.keys() ^ wanted.keys():
        yield f"{key} is in one of them only"
    for key in rows.keys() & wanted.keys():
        for column, cell in wanted[key].items():
            if not is_same(rows[key][column], cell):
                yield f"{key} {column}: {rows[key][column]} instead of {cell}"


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(company=companies())
def test_random_companies_agree_with_the_oracle(
    compile_models: CompileModels, company: Company
) -> None:
    with closing(built(compile_models, company)) as database:
        marts = {name: rows_of(database, name) for name in MARTS}
    expected = oracle_adoption.product_adoption(company)
    found = marts["mart_product_adoption"]
    assert not list(unlike(found, expected, "account_id", "period_start"))

    # Every account is in exactly one state, and the slices of a dimension sum to the total.
    rates = marts["mart_rate_of_adoption"]
    counted = [row for row in rates if row["accounts"]]
    keys = ("slice_dimension", "slice_value", "period_start")
    assert not list(unlike(counted, oracle_adoption.rate_of_adoption(company), *keys))
    for row in rates:
        assert row["eligible"] + row["unknown"] + row["not_eligible"] == row["accounts"]
        assert row["adopted"] <= row["eligible"]
    for name in ("accounts", "eligible", "adopted", "unknown", "not_eligible", "adopted_now"):
        sums: dict[tuple[date, str], int] = {}
        for row in rates:
            key = (row["period_start"], row["slice_dimension"])
            sums[key] = sums.get(key, 0) + row[name]
        for (month, _), count in sums.items():
            assert count == sums[month, "total"]

    for month in {row["period_start"] for row in marts["mart_feature_adoption"]}:
        shown = {
            row["feature"]: row
            for row in marts["mart_feature_adoption"]
            if row["period_start"] == month
        }
        wanted = oracle_adoption.feature_adoption(company, month)
        assert shown.keys() == wanted.keys()
        for name, cells in wanted.items():
            assert {column: shown[name][column] for column in cells} == cells, (month, name)
            if shown[name]["entitled_accounts"] is not None:
                states = ("tried", "adopted", "dropped", "never_tried")
                assert (
                    sum(shown[name][state] for state in states)
                    == (shown[name]["entitled_accounts"])
                )

    outcomes = [row for row in marts["mart_adoption_outcomes"] if row["outcome"] == "churn"]
    for month in company.book.months:
        bands = {
            row["adoption_band"]: (row["sum_of_values"], row["n"])
            for row in outcomes
            if row["period_start"] == month
        }
        assert bands == (oracle_adoption.churn_by_band(company, month) or {})

    # Also who is known by use alone.
    everybody = {*company.accounts, *(row["account_id"] for row in company.events)}
    for row in marts["mart_churn_scoreboard"]:
        members = [
            name
            for name in everybody
            if oracle_adoption.slices_of(company, name)[row["slice_dimension"]]
            == row["slice_value"]
        ]
        measures = people(company, row["period_start"], members)
        for name, count in measures.items():
            rows = (
                company.assignments
                if name == "csm_changes"
                else company.users
                if name.startswith("champion")
                else company.events
            )
            assert row[name] == (count if rows else None), (row["period_start"], name)


# ---------------------------------------------------------------------------------- RavenStack


@pytest.mark.skipif(ravenstack.folder() is None, reason="REFERENCE_DATA is not set")
def test_ravenstack_features_used_per_account_and_month(compile_models: CompileModels) -> None:
    names = ("accounts", "subscriptions", "feature_usage")
    raw = {f"ravenstack__{name}": ravenstack.raw(name) for name in names}
    models = compile_models(Policies(), MARTS)
    with closing(models.build(World(ravenstack.AS_OF), **raw)) as database:
        found = {
            (row["account_id"], row["period_start"]): row["features_used"]
            for row in rows_of(database, "mart_product_adoption")
            if row["features_used"]
        }
        by_feature = rows_of(database, "mart_feature_adoption")
        rates = rows_of(database, "mart_rate_of_adoption")
    owner = {row["subscription_id"]: row["account_id"] for row in ravenstack.read("subscriptions")}
    used: dict[tuple[str, date], set[str]] = {}
    for row in ravenstack.read("feature_usage"):
        day = date.fromisoformat(row["usage_date"])
        if int(row["usage_count"]):
            key = (owner[row["subscription_id"]], day.replace(day=1))
            used.setdefault(key, set()).add(row["feature_name"])
    assert found == {key: len(features) for key, features in used.items()}
    assert {row["feature"] for row in by_feature} == set().union(*used.values())
    # Its features are in no catalogue and its export tells no logins: unknown, not zero.
    assert all(row["entitled_accounts"] is None for row in by_feature)
    assert sum(row["eligible"] for row in rates) == 0 < sum(row["unknown"] for row in rates)
    assert all(row["rate"] is None for row in rates)
