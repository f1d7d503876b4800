"""The generated exports that are measured: skewed as real usage is, the same for the same size.

Accounts, usage and the small exports are core/samples'; only what it would take too long to draw
account by account is drawn in SQL here: a million subscription rows, and events day by day. Every
artefact is made once per size and kept.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

from dagster_project.core import samples
from dagster_project.core.samples import accounts as customers
from dagster_project.core.samples.delivery import Span
from dagster_project.core.samples.events import (
    DRAWN_EVENTS_SQL,
    FEATURES,
    draw_macro,
    prepare_drawing,
    usage_phases,
)

LAST_DAY = date(2025, 6, 30)
SEED = 7
CSV = "(format csv, header true)"
EVENT_COLUMNS = (
    "event_id, account_id, user_id, event_name, feature, occurred_at, session_id, duration_seconds"
)
# The columns of the contract, in its order.
SUBSCRIPTION_COLUMNS = (
    "subscription_id, account_id, plan_id, plan_tier, status, started_at, ended_at, trial_end_at,"
    " cancel_requested_at, past_due_since, term_end_date, currency, quantity, unit_amount_minor,"
    " discount_percent, billing_interval, interval_count, updated_at"
)


@dataclass(frozen=True)
class Size:
    """events, accounts, months (30 days each) and subscription rows (periods), as counts."""

    events: int
    accounts: int
    months: int
    periods: int

    @property
    def name(self) -> str:
        return "-".join(f"{number}{word[0]}" for word, number in asdict(self).items())


class World:
    """The landing files of one size below `root`, each made when first asked for."""

    def __init__(self, root: Path, size: Size) -> None:
        self.size, self.root = size, root / size.name
        first_day = LAST_DAY - timedelta(30 * size.months - 1)
        self.span = Span(first_day, first_day, LAST_DAY)

    def days(self) -> dict[date, Path]:
        """Events as they land: one CSV per landing day, with late, repeated and faulty rows."""
        folder = self._made("events", self._make_events)
        return {date.fromisoformat(path.stem): path for path in sorted(folder.glob("days/*.csv"))}

    def clean_events(self) -> Path:
        """All events as one CSV in which every row is good and no key comes again."""
        return self._made("events", self._make_events) / "clean.csv"

    def events_as_exported(self) -> Path:
        """All events as one CSV with faulty rows (0.02 %) and repeated ones (0.1 %)."""

        def make(folder: Path) -> None:
            join_csv(folder / "events.csv", self.days().values())

        return self._made("as_exported", make) / "events.csv"

    def subscriptions(self) -> Path:
        """billing/subscriptions as one CSV of about `periods` rows."""
        return self._made("subscriptions", self._make_subscriptions) / "subscriptions.csv"

    def small_exports(self) -> Path:
        """A landing folder of all other exports, landed on the last day."""
        return self._made("small_exports", self._make_small_exports)

    def land(
        self, data_dir: Path, *, events: dict[date, Path], small: bool = True, periods: bool = True
    ) -> None:
        """Lay out a fresh data folder; files are linked, not copied."""
        shutil.rmtree(data_dir, ignore_errors=True)
        landing = data_dir / "landing"
        if small:
            shutil.copytree(self.small_exports(), landing, copy_function=os.link)
        if periods:
            self.link(data_dir, "billing/subscriptions", LAST_DAY, self.subscriptions())
        for day, path in events.items():
            self.link(data_dir, "product/events", day, path)

    def link(self, data_dir: Path, export: str, day: date, path: Path) -> None:
        target = data_dir / "landing" / export / f"{day}.csv"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        os.link(path, target)

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        done, unfinished = self.root / name, self.root / f"{name}.unfinished"
        if not done.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            make(unfinished)
            unfinished.replace(done)
        return done

    def _make_events(self, folder: Path) -> None:
        """Day by day: a month is drawn at once, its late events wait for the days they land on."""
        (folder / "days").mkdir()
        db = duckdb.connect()
        usage = [
            phase
            for account in customers.cast(SEED, self.size.accounts, self.span)
            for phase in usage_phases(account, customers.subscription_rows(account), self.span)
        ]
        sessions_per_volume = prepare_drawing(db, usage, SEED, self.size.events)
        db.execute("create table pending (landing_date date, is_again boolean)")
        months = [LAST_DAY - timedelta(30 * ago - 1) for ago in range(self.size.months, 0, -1)]
        for month in months:
            until = month + timedelta(29)
            drawn = (
                f"{DRAWN_EVENTS_SQL} select * exclude (landed_after, day),"
                " least(day::date + landed_after::integer, $last_landing) as landing_date,"
                " landed_after not in (0, 2) as is_again from events"
            )
            db.execute(
                f"create or replace table pending as {drawn} union all by name from pending",
                {
                    "from_day": month,
                    "to_day": until,
                    "last_landing": LAST_DAY,
                    "features": FEATURES.split(),
                    "sessions_per_volume": sessions_per_volume,
                },
            )
            for ago in range(29, -1, -1):
                day = until - timedelta(ago)
                rows = f"select {EVENT_COLUMNS} from pending where landing_date = '{day}'"
                order = "order by occurred_at, event_id"
                db.execute(f"copy ({rows} {order}) to '{folder}/days/{day}.csv' {CSV}")
                good = f"{rows} and account_id is not null and not is_again {order}"
                db.execute(f"copy ({good}) to '{folder}/good.csv' {CSV}")
                join_csv(folder / "clean.csv", [folder / "good.csv"])
            db.execute(f"delete from pending where landing_date <= '{until}'")
        (folder / "good.csv").unlink()

    def _make_small_exports(self, folder: Path) -> None:
        samples.generate(
            folder,
            accounts=self.size.accounts,
            days=1,
            last_day=LAST_DAY,
            history_months=self.size.months,
            seed=SEED,
            events_per_account=0,
        )
        shutil.rmtree(folder / "product")

    def _make_subscriptions(self, folder: Path) -> None:
        db = duckdb.connect()
        db.execute(draw_macro(SEED, "item, purpose"))
        parameters = {
            "accounts": self.size.accounts,
            "periods": self.size.periods,
            "start": self.span.start,
            "days": 30 * self.size.months,
        }
        sql = SUBSCRIPTIONS_SQL.replace("$columns", SUBSCRIPTION_COLUMNS)
        db.execute(f"copy ({sql}) to '{folder}/subscriptions.csv' {CSV}", parameters)


# Ten rows a subscription, one after the other: most follow at once, some after a short hole (it is
# carried) or a long one (churn and return), some are a pause; prices, seats and discounts vary. The
# last row goes on, unless it was cancelled or went past due.
SUBSCRIPTIONS_SQL = """
with subscriptions as (
    select
        number,
        floor($accounts * draw(number, 'account') ** 1.5)::bigint as account,
        $start + floor($days * 0.6 * draw(number, 'start'))::integer as first_day,
        1 + floor(10 * draw(number, 'rows') * 1.9)::integer as rows,
        ['USD', 'USD', 'EUR', 'GBP'][1 + floor(4 * draw(number, 'currency'))::integer] as currency,
        ['starter', 'growth', 'scale'][1 + floor(3 * draw(number, 'tier'))::integer] as plan_tier,
        ['month', 'month', 'year'][1 + floor(3 * draw(number, 'interval'))::integer]
            as billing_interval,
        1 + floor(40 * draw(number, 'seats') ** 3)::bigint as seats,
    from range($periods // 10) as numbers (number)
),

drawn as (
    select
        *,
        unnest(range(rows)) as i,
        number * 100 + i as item,
        10 + floor(70 * draw(item, 'length'))::integer as length,
        case
            when draw(item, 'hole') < 0.02 then 3
            when draw(item, 'hole') < 0.04 then 45
            else 0
        end as hole,
    from subscriptions
),

placed as (
    select
        *,
        first_day + (sum(length + hole) over earlier)::integer - length as start_day,
        lead(hole, 1, 0) over by_item as next_hole,
        i = rows - 1 as is_last,
    from drawn
    window
        by_item as (partition by number order by i),
        earlier as (partition by number order by i rows between unbounded preceding and current row)
),

told as (
    select
        *,
        start_day::timestamp + to_seconds(floor(86400 * draw(item, 'at'))::bigint) as started_at,
        lead(started_at) over by_item as next_started_at,
        case
            when next_hole > 0 then started_at + to_days(length)
            when not is_last then next_started_at
            when draw(number, 'ends') < 0.4 then started_at + to_days(length)
        end as ends_at,
    from placed
    window by_item as (partition by number order by i)
)

select $columns
from (
    select
        format('sub-{:07d}', number) as subscription_id,
        format('acc-{:06d}', account) as account_id,
        plan_tier || '-' || billing_interval as plan_id,
        plan_tier,
        case
            when not is_last and draw(item, 'paused') < 0.01 then 'paused'
            when is_last and ends_at <= $start + $days then 'canceled'
            when draw(item, 'due') < 0.01 then 'past_due'
            when i = 0 and draw(item, 'trial') < 0.05 then 'trialing'
            else 'active'
        end as status,
        started_at,
        if(ends_at <= $start + $days, greatest(ends_at, started_at), null) as ended_at,
        if(status = 'trialing', started_at + interval 14 day, null) as trial_end_at,
        null as cancel_requested_at,
        if(status = 'past_due', started_at, null) as past_due_since,
        null as term_end_date,
        currency,
        greatest(1, seats + floor(seats * 0.3 * draw(item, 'more'))::bigint) as quantity,
        (if(billing_interval = 'year', 12000, 1000) * (1 + 0.2 * draw(item, 'price')))::bigint
            as unit_amount_minor,
        case when draw(item, 'discount') < 0.2 then 12.5 end as discount_percent,
        billing_interval,
        1 as interval_count,
        started_at as updated_at,
    from told
    where start_day < $start + $days
)
order by account_id, subscription_id, started_at
"""


def join_csv(target: Path, sources: Iterable[Path]) -> None:
    """Append CSVs of one header to `target`, with one header."""
    with target.open("ab") as joined:
        for path in sources:
            with path.open("rb") as source:
                header = source.readline()
                if not joined.tell():
                    joined.write(header)
                shutil.copyfileobj(source, joined, 1 << 24)
