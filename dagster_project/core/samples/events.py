"""How the sample customers use the product: events, skewed as real usage is.

An account's life becomes a few phases of even use (Python, cheap); the events of a phase are drawn
in DuckDB, one part file at a time, because there may be tens of millions of them.
"""

import tempfile
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from dagster_project.core.samples.accounts import Account
from dagster_project.core.samples.delivery import Row, Span

EXPORT = "product/events"
EVENTS_PER_SESSION = 4.5  # the mean of the 2 to 7 drawn below
PART_DAYS = 30
# The most used first: a draw falls on the first far more often than on the last.
FEATURES = "dashboards reports exports alerts sharing integrations automation forecasts api audit"
FEATURES_OF_TIER = {"starter": 5, "growth": 8, "scale": 10}


def usage_phases(account: Account, rows: list[Row], span: Span) -> list[Row]:
    """Spans of days, both included, of even use, for `account` with its subscription `rows`.

    Most voluntary and involuntary churn is preceded by 60 days of hardly any use; so that low use
    is a signal and no proof, some accounts are hardly used and stay, and some never log in.
    """
    rng = account.rng("usage")
    volume = min(rng.paretovariate(1.1), 60.0) * (0.1 if rng.random() < 0.08 else 1.0)
    is_idle, fades = rng.random() < 0.04, rng.random() < 0.7
    phases: list[tuple[date, date, float]] = []
    for row in rows:
        if is_idle or row["status"] == "paused" or row["plan_tier"] == "add_on":
            continue
        first = row["started_at"].date()
        last = (row.get("ended_at") or datetime.max).date()
        if not row["is_cancelled"]:
            # The day of a change belongs to the row that it opens: a day drawn twice is doubled.
            phases.append((first, last - timedelta(1), volume))
            continue
        fading = max(first, last - timedelta(60)) if fades else last
        phases += [(first, fading - timedelta(1), volume), (fading, last, 0.1 * volume)]
        if account.number % 5 == 0:  # somebody still has the link
            phases.append((last + timedelta(1), last + timedelta(10), 0.1 * volume))
    return [
        {
            "number": account.number,
            "users": account.users,
            "features": FEATURES_OF_TIER[account.tier],
            "engagement": 0.3 + 0.7 * account.mood,
            "first_day": first,
            "last_day": min(last, span.last_day),
            "volume": volume,
        }
        for first, last, volume in phases
        if first <= min(last, span.last_day)
    ]


USAGE_SCHEMA = {
    "number": pl.Int64(),
    "users": pl.Int64(),
    "features": pl.Int64(),
    "engagement": pl.Float64(),
    "first_day": pl.Date(),
    "last_day": pl.Date(),
    "volume": pl.Float64(),
}

# Every draw hashes what it is about, so an event is the same in whichever chunk it is written.
DRAWN_EVENTS_SQL = """
with account_days as (
    select *, epoch_us(day) // 86400000000 as day_number
    from (
        select
            *,
            unnest(range(
                greatest(first_day, $from_day)::timestamp,
                least(last_day, $to_day)::timestamp + interval 1 day,
                interval 1 day
            )) as day,
        from phases
        where first_day <= $to_day and last_day >= $from_day
    )
),

sessions as (
    select
        *,
        unnest(range(floor(
            volume * $sessions_per_volume * if(isodow(day) > 5, 0.3, 1.28)
            + draw(number, day_number, 0, 'sessions')
        )::bigint)) as session,
    from account_days
),

people as (
    select
        * exclude (users),
        floor(users * draw(number, day_number, session, 'user') ** 2)::bigint as person,
        day + to_seconds(25000 + 40000 * draw(number, day_number, session, 'time')) as began_at,
        unnest(range(
            2 + floor(6 * draw(number, day_number, session, 'length'))::bigint
        )) as step,
        -- A few events land late, a few are sent again the day after.
        if(draw(number, day_number, session, 'late') < 0.003, 2, 0) as lag_days,
    from sessions
),

drawn as (
    select
        *,
        session * 10 + step as position,
        case
            when step = 0 then 'login'
            when step = 1 and draw(number, day_number, session, 'report') < engagement
                then 'report_created'
            else 'feature_used'
        end as event_name,
    from people
),

events as (
    select
        format('evt-{}-{}-{}', number, day_number, position) as event_id,
        if(
            draw(number, day_number, position, 'bad') < 0.0002, null, format('acc-{:06d}', number)
        ) as account_id,
        if(
            draw(number, day_number, position, 'anonymous') < 0.02,
            null,
            format('usr-{:06d}-{}', number, person)
        ) as user_id,
        event_name,
        case event_name
            when 'feature_used'
                then $features[
                    1 + floor(features * draw(number, day_number, position, 'feature') ** 3)::bigint
                ]
            when 'report_created' then 'reports'
        end as feature,
        date_trunc('second', began_at) + to_minutes(3 * step) as occurred_at,
        if(
            draw(number, day_number, session, 'sessionless') < 0.02,
            null,
            format('ses-{}-{}-{}', number, day_number, session)
        ) as session_id,
        if(
            event_name = 'login' or draw(number, day_number, position, 'timed') < 0.2,
            null,
            round(5 + 300 * draw(number, day_number, position, 'duration') ** 2)
        ) as duration_seconds,
        unnest(
            if(
                draw(number, day_number, position, 'again') < 0.001,
                [lag_days, lag_days + 1],
                [lag_days]
            )
        ) as landed_after,
        day,
    from drawn
)
"""

EVENTS_SQL = f"""
{DRAWN_EVENTS_SQL}
select * exclude (landed_after, day)
from events
where greatest(day::date + landed_after::integer, $first_landing) = $landing
"""


def draw_macro(seed: int, about: str = "number, day, item, purpose") -> str:
    """The macro draw(`about`): a number from 0 to below 1, always the same for the same."""
    drawn = f"(hash({about}, {seed}::bigint) >> 11) / 9007199254740992.0"
    return f"create macro draw({about}) as {drawn}"


def prepare_drawing(
    connection: duckdb.DuckDBPyConnection, usage: list[Row], seed: int, events: int
) -> float:
    """Create what DRAWN_EVENTS_SQL reads; returns its $sessions_per_volume for about `events`."""
    connection.execute(draw_macro(seed))
    with tempfile.TemporaryDirectory() as folder:
        phases = Path(folder, "phases.parquet")
        pl.DataFrame(usage, schema=USAGE_SCHEMA, orient="row").write_parquet(phases)
        connection.execute("create table phases as from read_parquet($path)", {"path": str(phases)})
    total = connection.execute("select sum(volume * (last_day - first_day + 1)) from phases")
    volume: float = (total.fetchone() or (None,))[0] or 1.0
    return events / volume / EVENTS_PER_SESSION


def write_events(landing: Path, usage: list[Row], span: Span, seed: int, events: int) -> int:
    """Write about `events` events as folders of Parquet parts; returns the number of files."""
    # One thread: with more, the row groups of a part depend on which finished first.
    connection = duckdb.connect(config={"threads": 1})
    sessions_per_volume = prepare_drawing(connection, usage, seed, events)
    files = 0
    for landing_day in span.landing_days:
        folder_of_day = landing / EXPORT / landing_day.isoformat()
        folder_of_day.mkdir(parents=True, exist_ok=True)
        for part, (from_day, to_day) in enumerate(days_of_parts(span, landing_day)):
            path = str(folder_of_day / f"part-{part:03d}.parquet").replace("'", "''")
            connection.execute(
                f"copy ({EVENTS_SQL}) to '{path}' (format parquet, compression zstd)",
                {
                    "from_day": from_day,
                    "to_day": to_day,
                    "first_landing": span.first_day,
                    "landing": landing_day,
                    "features": FEATURES.split(),
                    "sessions_per_volume": sessions_per_volume,
                },
            )
            files += 1
    connection.close()
    return files


def days_of_parts(span: Span, landing_day: date) -> list[tuple[date, date]]:
    """The days, both included, whose events may land on `landing_day`, cut into parts."""
    # The longest lag is three days: late by two, and sent again the day after.
    from_day = landing_day - timedelta(3) if landing_day > span.first_day else span.start
    days = (landing_day - from_day).days
    return [
        (from_day + timedelta(first), from_day + timedelta(min(first + PART_DAYS - 1, days)))
        for first in range(0, days + 1, PART_DAYS)
    ]
