"""The sample exports: equal bytes from equal arguments, within their contracts, and as awkward as
they promise to be. They are read back through the extraction, as `make run` does."""

import datetime as dt
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_project.core.exports import Export, load_exports
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import Lake
from dagster_project.core.ledger import Extraction
from dagster_project.core.samples import generate
from dagster_project.core.samples.delivery import MISSED, SHAPES
from dagster_project.core.staleness import Rules

ROOT = Path(__file__).parents[1]
EXPORTS = {
    name: export
    for name, export in load_exports(ROOT / "dbt/models/staging").items()
    if export.system != "ravenstack"
}
LAST_DAY = dt.date(2025, 6, 30)
SMALL: dict[str, Any] = {"accounts": 12, "days": 3, "history_months": 4, "events_per_account": 50}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def extract(lake: Lake) -> list[Extraction]:
    rules = Rules(first_day=dt.date(2020, 1, 1), max_reject_share=0.10)
    with Extractor(lake, rules) as extractor:
        for export in EXPORTS.values():
            extractor.ensure_empty(export)
        return [
            extractor.extract_day(export, day)
            for export in EXPORTS.values()
            for day in lake.landed_days(export.system, export.name)
        ]


@dataclass(frozen=True)
class World:
    """The default samples as landed and as extracted; `db` has a view per export.

    A view of a snapshot is its newest day, one of an append export all rows of all days.
    """

    lake: Lake
    attempts: list[Extraction]
    db: duckdb.DuckDBPyConnection

    def count(self, sql: str) -> int:
        row = self.db.execute(f"select count(*) from ({sql})").fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lake = Lake(tmp_path_factory.mktemp("samples"))
    generate(lake.root / "landing")
    attempts = extract(lake)
    with duckdb.connect() as db:
        for export in EXPORTS.values():
            raw = f"read_parquet('{lake.raw(export.system, export.name)}/*/*.parquet')"
            newest = f"where landing_date = date '{LAST_DAY}'" if export.kind == "snapshot" else ""
            db.execute(f"create view {export.name} as select * from {raw} {newest}")
        rejects = f"{lake.root}/rejects/*/*/*/*.parquet"
        db.execute(
            "create view rejects as select *, string_split(filename, '/')[-3] as export"
            f" from read_parquet('{rejects}', filename = true, union_by_name = true)"
        )
        yield World(lake, attempts, db)


def test_another_process_with_another_hash_seed_and_one_thread_writes_the_same_bytes(
    tmp_path: Path,
) -> None:
    generate(tmp_path / "here", last_day=LAST_DAY, **SMALL)
    code = (
        "import sys, pathlib; from dagster_project.core.samples import generate;"
        f"generate(pathlib.Path(sys.argv[1]), **{SMALL})"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "there")],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "11", "POLARS_MAX_THREADS": "1"},
    )
    assert digests(tmp_path / "here") == digests(tmp_path / "there") != {}


def test_another_seed_writes_another_world(tmp_path: Path) -> None:
    generate(tmp_path / "7", **SMALL)
    generate(tmp_path / "8", seed=8, **SMALL)
    first, second = digests(tmp_path / "7"), digests(tmp_path / "8")
    for export in [*SHAPES, "product/events"]:
        mine = {digest for name, digest in first.items() if name.startswith(f"{export}/")}
        other = {digest for name, digest in second.items() if name.startswith(f"{export}/")}
        assert mine != other, export


@pytest.mark.parametrize(("accounts", "days"), [(1, 1), (1, 2), (3, 1), (50, 3), (200, 1)])
def test_any_number_of_accounts_and_days_keeps_every_contract(
    tmp_path: Path, accounts: int, days: int
) -> None:
    lake = Lake(tmp_path)
    landing = lake.root / "landing"
    files = generate(landing, accounts=accounts, days=days, events_per_account=50)
    assert files == len(digests(landing))
    attempts = extract(lake)
    faults = [(a.export, a.landing_date, a.error) for a in attempts if not a.is_ok or a.drift]
    assert faults == []
    missed = 1 if days > 2 else 0
    assert len(attempts) == len(EXPORTS) * days - missed


@pytest.mark.parametrize("history_months", [0, 1, 60])
def test_any_length_of_history_keeps_every_contract(tmp_path: Path, history_months: int) -> None:
    lake = Lake(tmp_path)
    generate(lake.root / "landing", accounts=30, days=2, history_months=history_months)
    assert [a.error for a in extract(lake) if not a.is_ok] == []


@pytest.mark.parametrize("size", [{"accounts": 0}, {"days": 0}])
def test_no_accounts_or_no_days_is_refused(tmp_path: Path, size: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        generate(tmp_path, **size)


def test_every_day_of_every_export_lands_but_the_missed_one(world: World) -> None:
    days = [LAST_DAY - dt.timedelta(back) for back in reversed(range(14))]
    for name, export in EXPORTS.items():
        landed = [day for day in days if name != MISSED or day != days[7]]
        assert list(world.lake.landed_days(export.system, export.name)) == landed, name


def test_every_file_keeps_its_contract_without_drift(world: World) -> None:
    assert [(a.export, a.error) for a in world.attempts if not a.is_ok] == []
    assert {a.drift for a in world.attempts} == {()}


def test_all_five_formats_and_folders_of_parts_are_used(world: World) -> None:
    names = digests(world.lake.root / "landing")
    assert {name.rsplit("/", 1)[1].partition(".")[2] for name in names} == {
        "csv",
        "csv.gz",
        "jsonl",
        "jsonl.gz",
        "parquet",
    }
    in_parts = {"/".join(name.split("/")[:2]) for name in names if "/part-" in name}
    assert in_parts >= {"billing/invoices", "communications/touchpoints", "product/events"}


def test_the_default_size_stays_small(world: World) -> None:
    landing = world.lake.root / "landing"
    assert sum(path.stat().st_size for path in landing.rglob("*") if path.is_file()) < 15_000_000


@pytest.mark.parametrize("export", EXPORTS.values(), ids=list(EXPORTS))
def test_every_column_holds_a_value_and_every_nullable_one_a_null(
    world: World, export: Export
) -> None:
    for column in export.columns:
        assert world.count(f"from {export.name} where {column.name} is not null"), column.name
        # A source that dates only some of its changes would make the newest version a guess.
        if column.is_nullable and column.name != "updated_at":
            assert world.count(f"from {export.name} where {column.name} is null"), column.name


def test_bad_rows_are_few_and_come_on_some_days_only(world: World) -> None:
    with_rejects = {(a.export, a.landing_date) for a in world.attempts if a.rows_rejected}
    assert len({day for _, day in with_rejects}) > 1
    assert len(with_rejects) < len(world.attempts) / 2
    for attempt in world.attempts:
        bad = attempt.rows_rejected + attempt.rows_superseded
        assert bad < max(1, 0.07 * attempt.rows_in), (attempt.export, attempt.landing_date)


@pytest.mark.parametrize(
    ("export", "reason"),
    [
        ("subscriptions", "%unit_amount_minor%"),
        ("subscriptions", "%status%"),
        ("users", "%account_id%"),
        ("invoices", "%amount_minor%"),
        ("invoices", "%issued_at%"),
        ("cancellations", "conflicting_key%"),
        ("fx_rates", "%base_per_unit%"),
        ("events", "%account_id%"),
        ("tickets", "%created_at%"),
        ("responses", "%score%"),
        ("touchpoints", "%kind%"),
        ("touchpoints", "conflicting_key%"),
        ("mentions", "%topic%"),
    ],
)
def test_a_planted_bad_row_is_refused_for_its_reason(
    world: World, export: str, reason: str
) -> None:
    assert world.count(f"from rejects where export = '{export}' and reason like '{reason}'")


@pytest.mark.parametrize("export", ["invoices", "events", "tickets", "touchpoints"])
def test_a_row_delivered_twice_is_superseded(world: World, export: str) -> None:
    assert sum(a.rows_superseded for a in world.attempts if a.export == export) > 0


@pytest.mark.parametrize(
    ("export", "happened_at"),
    [
        (export.name, column.name)
        for export in EXPORTS.values()
        for column in export.columns
        if column.type == "timestamp"
        # These two may be announced before they come.
        and (export.name, column.name)
        not in {
            ("subscriptions", "started_at"),
            ("subscriptions", "trial_end_at"),
            ("invoices", "due_at"),
        }
    ],
)
def test_no_landing_day_knows_what_happens_after_it(
    world: World, export: str, happened_at: str
) -> None:
    days = f"{world.lake.root}/raw/*/{export}/date=*/data.parquet"
    assert world.count(f"from '{days}'") > 0
    assert not world.count(f"from '{days}' where {happened_at} >= landing_date + 1")


@pytest.mark.parametrize(
    ("export", "happened_at"),
    [
        ("invoices", "updated_at"),
        ("events", "occurred_at"),
        ("tickets", "updated_at"),
        ("invitations", "sent_at"),
        ("touchpoints", "occurred_at"),
    ],
)
def test_a_few_rows_land_late(world: World, export: str, happened_at: str) -> None:
    later_days = f"from {export} where landing_date > date '2025-06-17'"
    late = f"{later_days} and {happened_at}::date < landing_date"
    if export == "tickets":  # the day after the missed one holds two days
        late += " and landing_date <> date '2025-06-25'"
    assert 0 < world.count(late) < 0.1 * world.count(later_days)


CASES = {
    "a trial that converts": """
        from subscriptions a join subscriptions b using (subscription_id)
        where a.status = 'trialing' and b.status = 'active' and a.ended_at = b.started_at""",
    "a trial within an active row": """
        from subscriptions where status = 'active' and trial_end_at > started_at""",
    "a trial that is lost": """
        from subscriptions where status = 'canceled' and trial_end_at = ended_at""",
    "a trial that still runs": """
        from subscriptions where status = 'trialing' and ended_at is null""",
    "billing by the day": "from subscriptions where billing_interval = 'day'",
    "billing by the week": "from subscriptions where billing_interval = 'week'",
    "billing by the year": "from subscriptions where billing_interval = 'year'",
    "billing by three months": "from subscriptions where interval_count = 3",
    "more seats": "from followed where next_quantity > quantity",
    "fewer seats": "from followed where next_quantity < quantity",
    "a higher price": """
        from followed where next_amount > unit_amount_minor and next_tier = plan_tier""",
    "a lower price": """
        from followed where next_amount < unit_amount_minor and next_tier = plan_tier""",
    "a move to a dearer plan": """
        from followed where next_tier <> plan_tier and next_amount > unit_amount_minor""",
    "a move to a cheaper plan": """
        from followed where next_tier <> plan_tier and next_amount < unit_amount_minor""",
    "an add-on beside the first subscription": """
        from subscriptions a join subscriptions b using (account_id)
        where b.plan_tier = 'add_on' and a.plan_tier <> 'add_on' and b.ended_at is null
            and b.started_at < date '2025-06-30' and a.ended_at is null""",
    "an add-on that is dropped": """
        from subscriptions where plan_tier = 'add_on' and status = 'canceled'""",
    "a partial discount": "from subscriptions where discount_percent between 0.1 and 99.9",
    "a discount of 100 percent": "from subscriptions where discount_percent = 100",
    "an account that pays and then pays nothing": """
        from followed where next_discount = 100""",
    "a discount that ends": """
        from followed where discount_percent = 25 and next_discount is null""",
    "a pause that ends": """
        from followed where status = 'paused' and next_status = 'active'""",
    "a payment that fails and is made": """
        from followed where status = 'past_due' and next_status = 'active'""",
    "an account that is past due": """
        from subscriptions where status = 'past_due' and ended_at is null""",
    "a dunning that ends in churn": """
        from subscriptions s join cancellations c using (account_id)
        where s.status = 'canceled' and s.past_due_since is not null and not c.is_voluntary
            and s.ended_at >= s.past_due_since + interval 30 day""",
    "a cancellation that was only asked for": """
        from subscriptions where cancel_requested_at is not null and ended_at is null""",
    "a cancellation asked for before its end": """
        from subscriptions where cancel_requested_at < ended_at""",
    "a competitor that won": "from cancellations where competitor is not null",
    "a cancellation without a reason": "from cancellations where reason_code is null",
    "a cancellation of unknown will": "from cancellations where is_voluntary is null",
    "a return after months": """
        from subscriptions a join subscriptions b using (account_id)
        where a.status = 'canceled' and b.started_at > a.ended_at + interval 60 day""",
    "a renewal some days late, across a month end": """
        from subscriptions a join subscriptions b using (subscription_id)
        where b.started_at > a.ended_at and b.started_at <= a.ended_at + interval 7 day
            and date_trunc('month', a.ended_at) < date_trunc('month', b.started_at)""",
    "a life inside one month": """
        select account_id from subscriptions group by account_id
        having date_trunc('month', min(started_at)) = date_trunc('month', max(ended_at))
            and count(*) = count(ended_at) and bool_and(trial_end_at is null)""",
    "a start in the future": "from subscriptions where started_at >= date '2025-07-01'",
    "an annual term": "from subscriptions where term_end_date > started_at + interval 360 day",
    "a half-year term": """
        from subscriptions where term_end_date < started_at + interval 181 day""",
    "a term renewed at a higher price": """
        from followed where term_end_date = (ended_at - interval 1 microsecond)::date
            and next_term > term_end_date and next_amount > unit_amount_minor
            and next_tier = plan_tier""",
    "a term renewed on a dearer plan": """
        from followed where next_term > term_end_date and next_tier <> plan_tier""",
    "a term renewed for fewer seats": """
        from followed where next_term > term_end_date and next_quantity < quantity""",
    "a yearly term renewed for another year": """
        from followed where billing_interval = 'year' and next_term > term_end_date + 364""",
    "a term that was not renewed": """
        from subscriptions where status = 'canceled'
            and term_end_date = (ended_at - interval 1 microsecond)::date""",
    "a term that ran out a few days ago and may still be renewed": """
        from subscriptions where status = 'active' and ended_at > date '2025-06-24'
            and term_end_date = (ended_at - interval 1 microsecond)::date""",
    "a term that ends in a coming month": """
        from subscriptions where ended_at is null and term_end_date > date '2025-06-30'""",
    "a trial whose first payment failed": """
        from subscriptions a join subscriptions b using (subscription_id)
        where a.status = 'trialing' and b.past_due_since = a.ended_at and b.status = 'canceled'""",
    "an account in billing but not in crm": """
        from subscriptions anti join accounts using (account_id)""",
    "an account in crm but not in billing": """
        from accounts anti join subscriptions using (account_id)""",
    "an account that changes while files land": """
        from subscriptions where updated_at between date '2025-06-18' and date '2025-07-01'""",
    "pounds, euros, yen and dollars": """
        from (select count(distinct currency) as currencies from subscriptions)
        where currencies = 4""",
    "a rate for every foreign start": """
        from (
            select bool_and(rates.currency is not null) as has_all
            from (from subscriptions where currency <> 'USD') as subscriptions
            asof left join fx_rates as rates
                on subscriptions.currency = rates.currency
                and subscriptions.started_at >= rates.rate_date
        ) where has_all""",
    "a rate a day": "from fx_rates where currency = 'EUR' and day(rate_date) <> 1",
    "a rate a month": """
        from (
            select bool_and(day(rate_date) = 1) as is_monthly from fx_rates where currency = 'JPY'
        ) where is_monthly""",
    "a refunded invoice": "from invoices where status = 'refunded'",
    "an invoice never paid": "from invoices where status = 'uncollectible'",
    "an invoice that is paid while files land": """
        from invoices a join invoices b using (invoice_id)
        where a.status = 'open' and b.status = 'paid' and a.landing_date < b.landing_date""",
    "a champion": "from users where is_champion",
    "a user who left": "from users where deactivated_at is not null",
    "a missed outcome": "from desired_outcomes where achieved_at is null",
    "a new manager": "from csm_assignments where ended_at is not null",
    "a login": "from events where event_name = 'login'",
    "a report": "from events where event_name = 'report_created'",
    "a customer who never used it": """
        from subscriptions anti join events using (account_id)
        where started_at < date '2025-05-01'""",
    "an event sent again on a later day": """
        from events a join events b using (event_id) where a.landing_date < b.landing_date""",
    "an event after the contract": """
        from events join (
            select account_id, max(coalesce(ended_at, date '9999-01-01')) as ended_at
            from subscriptions group by account_id
        ) using (account_id) where occurred_at::date > ended_at::date""",
    "a ticket that was reopened": "from tickets where reopen_count > 0",
    "a ticket without an answer": """
        from tickets where first_replied_at is null and created_at < date '2025-06-01'""",
    "a ticket that stays open": """
        from tickets where status = 'open' and created_at < date '2025-05-01'""",
    "a solved ticket without a rating": """
        from tickets where status = 'solved' and satisfaction_score is null""",
    "a ticket that was solved and replied before it was created": """
        from tickets where solved_at < created_at and first_replied_at < created_at""",
    "a ticket of another calendar": "from tickets where calendar = 'europe'",
    "a ticket of a calendar that nobody knows": """
        from tickets where calendar = 'follow_the_sun'""",
    "a ticket before the sign-up": """
        from tickets join accounts using (account_id) where created_at < signed_up_at""",
    "a third order": """
        select account_id from orders where status = 'completed'
        group by account_id having count(distinct order_id) >= 3""",
    "an order that was cancelled": "from orders where status = 'cancelled'",
    "an order that was refunded": "from orders where status = 'refunded'",
    "an account without orders": "from accounts anti join orders using (account_id)",
    "a person who answers twice within 90 days": """
        from responses a join responses b using (respondent_id, survey_type)
        where b.responded_at between a.responded_at + interval 1 second
            and a.responded_at + interval 90 day""",
    "a test answer": "from responses where is_test",
    "a code for no answer": "from responses where survey_type = 'nps' and score = 11",
    "a blank answer": "from responses where score is null",
    "an anonymous answer": "from responses where respondent_id is null",
    "every class of every survey": """
        from (
            select count(distinct (survey_type, score)) as answers from responses
            where score <= case survey_type when 'nps' then 10 when 'ces' then 7 else 5 end
        ) where answers = 11 + 7 + 5""",
    "an invitation without an answer": """
        from invitations i anti join responses r
            on i.respondent_id = r.respondent_id and i.sent_at = r.sent_at""",
    "an automated e-mail": "from touchpoints where kind = 'email' and is_automated",
    "a meeting": "from touchpoints where kind = 'meeting'",
    "an inbound contact": "from touchpoints where direction = 'inbound'",
    "an e-mail that the same thread answers": """
        from touchpoints a join touchpoints b using (account_id, thread_id)
        where a.direction = 'inbound' and b.direction = 'outbound'
            and not coalesce(b.is_automated, false) and b.occurred_at > a.occurred_at""",
    "an e-mail that nobody answered": """
        from touchpoints a anti join touchpoints b
            on a.thread_id = b.thread_id and b.direction = 'outbound'
            and b.occurred_at > a.occurred_at
        where a.direction = 'inbound' and a.thread_id is not null""",
    "a contact of an account that neither CRM nor billing knows": """
        from touchpoints anti join accounts using (account_id)
        anti join subscriptions using (account_id)""",
    "a review that says no sentiment": """
        from mentions where rating is not null and sentiment is null""",
    "a rating above the best one": "from mentions where rating > rating_max and rating_max > 0",
    "a rating on a scale of nothing": "from mentions where rating_max = 0",
    "a mention by a customer": "from mentions semi join accounts using (account_id)",
    "mentions of two competitors": """
        from (
            select count(distinct brand) as brands from mentions where topic = 'competitor'
        ) where brands = 2""",
    "a bad word about the own brand": """
        from mentions where topic = 'own' and sentiment = 'negative'""",
    "a text of two lines": "from mentions where text like '%' || chr(10) || '%'",
}


@pytest.fixture(scope="module")
def followed(world: World) -> World:
    """With a view of the subscription rows that the same subscription follows at once."""
    world.db.execute(
        """
        create view followed as
        select
            a.*,
            b.status as next_status,
            b.quantity as next_quantity,
            b.unit_amount_minor as next_amount,
            b.plan_tier as next_tier,
            b.discount_percent as next_discount,
            b.term_end_date as next_term,
        from subscriptions as a
        join subscriptions as b
            on a.subscription_id = b.subscription_id and a.ended_at = b.started_at
        """
    )
    return world


@pytest.mark.parametrize("sql", CASES.values(), ids=list(CASES))
def test_the_samples_hold(followed: World, sql: str) -> None:
    assert followed.count(sql.strip()) > 0


def test_no_two_rows_of_a_subscription_overlap(world: World) -> None:
    assert not world.count(
        """
        from subscriptions a join subscriptions b using (subscription_id)
        where a.started_at < b.started_at and coalesce(a.ended_at, date '9999-01-01') > b.started_at
        """
    )


def test_an_event_that_comes_again_is_the_same_and_comes_within_three_days(world: World) -> None:
    again = "select event_id from events group by event_id having count(*) > 1"
    assert 0 < world.count(again) < 0.003 * world.count("select distinct event_id from events")
    assert not world.count(
        """
        select event_id from events group by event_id
        having count(distinct (account_id, occurred_at, event_name, session_id)) > 1
            or max(landing_date) > min(landing_date) + 3
        """
    )
    superseded = sum(a.rows_superseded for a in world.attempts if a.export == "events")
    assert superseded < 0.003 * world.count("from events")


def test_few_accounts_and_features_hold_most_events(world: World) -> None:
    by_account = world.db.execute(
        "select count(*) as n from events group by account_id order by n desc"
    ).fetchall()
    counts = [n for (n,) in by_account]
    assert sum(counts[: len(counts) // 5]) > 0.6 * sum(counts)
    by_feature = world.db.execute(
        "select count(feature) as n from events group by feature having n > 0 order by n desc"
    ).fetchall()
    features = [n for (n,) in by_feature]
    assert sum(features[:2]) > 0.5 * sum(features)
    assert len(features) == 10


def test_events_per_account_is_the_mean(world: World) -> None:
    assert world.count("select distinct event_id from events") == pytest.approx(200 * 800, rel=0.05)


def test_low_use_precedes_churn_for_most_but_not_all(world: World) -> None:
    # The last 45 days lie in the fading of 60, the 45 days that end 75 days earlier before it.
    rows = world.db.execute(
        """
        with churned as (
            select account_id, max(ended_at)::date as ended_on from subscriptions
            where status = 'canceled' and plan_tier <> 'add_on' group by account_id
            having date_diff('day', min(started_at), max(ended_at)) >= 120
        )
        select
            count(*) filter (where occurred_at::date between ended_on - 45 and ended_on),
            count(*) filter (where occurred_at::date between ended_on - 120 and ended_on - 75),
        from churned join events using (account_id)
        group by account_id
        """
    ).fetchall()
    faded = [late < 0.5 * early for late, early in rows]
    assert len(faded) >= 10
    assert 0.5 * len(faded) < sum(faded) < len(faded)
