"""Is anything new? Told from files alone: landing, the ledger, the project's files, the release.

Imported before Dagster, dbt, DuckDB and Polars, whose imports alone cost more than a small build.
"""

import datetime as dt
from collections.abc import Mapping
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dagster_project.core.exports import Export
from dagster_project.core.ledger import Extraction, days_of, read_ledger
from dagster_project.core.staleness import Rules, as_of_day, stale_days
from dagster_project.manifest import files_below, hash_of
from dagster_project.settings import CHECKOUT, DBT_DIR, Settings

# What raw_state says before anything was extracted.
EMPTY = hash_of([], [])


class StaleExport(NamedTuple):
    """An export whose marts are built from an older day than the newest that landed.

    `notice` is the sentence without what it quotes of the file.
    """

    name: str
    sentence: str
    notice: str


def rules(settings: Settings) -> Rules:
    return Rules(
        first_day=dt.date.fromisoformat(str(settings.policies["first_day"])),
        max_reject_share=float(settings.policies["max_reject_share"] or 0),
        max_unpacked_bytes=settings.integer("max_unpacked_bytes"),
        snapshot_days_kept=settings.optional_integer("snapshot_days_kept"),
        as_of=dt.date.fromisoformat(str(settings.policies["as_of"] or dt.date.max)),
        systems=settings.systems,
    )


def new_days(settings: Settings, only_looks: bool = False) -> Mapping[str, list[dt.date]]:
    """Landed days to extract by export, of the systems that are on; only exports with any.

    An export whose landing folder cannot be listed is left out: `stale_exports` names it. Touched
    days are recorded, unless the caller `only_looks`.
    """
    lake = settings.lake
    ledger = read_ledger(lake)
    found = {
        name: stale_days(export, lake, ledger, rules(settings), only_looks)
        for name, export in settings.exports.items()
        if not lake.unreadable(export.system, export.name)
    }
    return {name: days for name, days in found.items() if days}


def raw_state(settings: Settings) -> str:
    """A hash of what raw holds and why: contents and outcome of each day, not when it was read."""
    ledger = read_ledger(settings.lake)
    return hash_of([], sorted((*map(str, key), *map(_facts, ledger[key])) for key in ledger))


def _facts(attempt: Extraction | None) -> str:
    if attempt is None:
        return ""
    parts = [(part.name, part.sha256) for part in attempt.landed]
    return repr((attempt.status, attempt.error, attempt.contract, attempt.max_reject_share, parts))


def code_state(settings: Settings) -> str:
    """A hash of the project's own files, the pinned versions and the policies in force."""
    files = [*files_below(DBT_DIR), *files_below(CHECKOUT / "dagster_project")]
    return hash_of([*files, CHECKOUT / "requirements.lock"], settings.dbt_vars)


def fingerprint(code: str, raw: str) -> str:
    """What a release is built from."""
    return hash_of([], code, raw)


def stale_exports(settings: Settings) -> list[StaleExport]:
    """Exports with a failed day that the marts would show if it had not failed.

    Of an append export that is every failed day; of a snapshot only the newest day matters, so a
    failed one counts if no later day is in raw. So does an export whose landing folder cannot be
    listed.
    """
    lake = settings.lake
    ledger = read_ledger(lake)
    decides = rules(settings)
    stale = []
    for name, export in settings.exports.items():
        if why := lake.unreadable(export.system, export.name):
            said = f"{name} is stale: its landing folder cannot be read ({why})"
            stale.append(StaleExport(name, said, said))
            continue
        known = days_of(ledger, export.system, export.name).items()
        days = {day: state for day, state in known if decides.reads(day)}
        in_raw = [day for day, state in days.items() if state.newest_ok]
        since = max(in_raw, default=dt.date.min) if export.kind == "snapshot" else dt.date.min
        failed = sorted(d for d, state in days.items() if not state.newest.is_ok and d >= since)
        if failed:
            newest = days[failed[-1]].newest
            more = f" (and {len(failed) - 1} earlier days)" if len(failed) > 1 else ""
            said = f"{name} is stale: {failed[-1]} failed{more}: "
            stale.append(StaleExport(name, f"{said}{newest.error}", f"{said}{newest.notice}."))
    return stale


def as_of_to_come(settings: Settings) -> str | None:
    """A sentence if the as-of day lies ahead, which a slip of a pen in a file's name may bring."""
    as_of = as_of_day(read_ledger(settings.lake), rules(settings))
    if as_of is None or as_of <= today(settings):
        return None
    return (
        f"The as-of day is {as_of}, which is yet to come: an accounts export has landed for it."
        " The policy as_of holds the marts to a day before."
    )


def today(settings: Settings) -> dt.date:
    """The day that it is in the reporting time zone."""
    return dt.datetime.now(ZoneInfo(str(settings.policies["reporting_timezone"]))).date()


def late_after_hours(settings: Settings, export: Export) -> int | None:
    """How many hours after its newest landing day an export is late; None: it never is."""
    by_policy = settings.optional_integer("late_after_hours")
    return by_policy and (export.late_after_hours or by_policy)


def lost_days(settings: Settings) -> Mapping[str, list[dt.date]]:
    """Days by export that the marts are computed from by the ledger, and whose rows are not in raw;
    only exports with any.

    An extraction brings them back, if their files are still in landing.
    """
    lake, exports = settings.lake, settings.exports
    ledger, decides = read_ledger(lake), rules(settings)
    # Of append exports also what landed after the as-of day is read, by the days it happened on.
    by = {"append": decides.as_of, "snapshot": as_of_day(ledger, decides) or decides.as_of}
    first = decides.first_day
    days: dict[str, list[dt.date]] = {}
    for (system, name, day), state in ledger.items():
        export = exports.get(f"{system}/{name}")
        if export and state.newest_ok and first <= day <= by[export.kind]:
            days.setdefault(f"{system}/{name}", []).append(day)
    lost = {}
    for name in sorted(days):
        export = exports[name]
        # Of a snapshot the newest day alone counts.
        needed = sorted(days[name])[-1 if export.kind == "snapshot" else 0 :]
        lost[name] = [d for d in needed if not lake.raw_day(export.system, export.name, d).exists()]
    return {name: days for name, days in lost.items() if days}
