"""Which landed days are to be extracted, and which extracted ones the marts read.

Told from the ledger and from the files' own facts, every night: DuckDB is not imported here.
"""

from dataclasses import dataclass, replace
from datetime import date

from dagster_project.core.exports import Export
from dagster_project.core.lake import Lake
from dagster_project.core.ledger import (
    Extraction,
    Ledger,
    append_to_ledger,
    days_of,
    landed,
    landed_stats,
    record,
    sha256_of,
)


@dataclass(frozen=True)
class Rules:
    """What decides besides the contracts: how a day ends, and which days of raw the marts read."""

    first_day: date
    max_reject_share: float
    max_unpacked_bytes: int = 2**63 - 1
    # From here on what the marts read. Superseded days of snapshots that may be missing from raw;
    # None: none may.
    snapshot_days_kept: int | None = None
    as_of: date = date.max
    # The source systems that are on.
    systems: tuple[str, ...] = ()

    def contract(self, export: Export, day: date) -> str:
        """What a ledger line remembers, so that a day is read again when it would end otherwise."""
        return export.fingerprint if day >= self.first_day else "before the first day"

    def reads(self, day: date) -> bool:
        """Whether the marts may read the landing day."""
        return self.first_day <= day <= self.as_of


def stale_days(
    export: Export, lake: Lake, ledger: Ledger, rules: Rules, only_looks: bool = False
) -> list[date]:
    """The landed days that are new, changed, or were read under other rules; oldest first.

    A part counts as unchanged by name, size, mtime and inode; only when those differ is its content
    hashed. A touched day is recorded with its new stat, so that it is not hashed again each night.
    A part that could not be read has no hash, and is looked at each time until it has one. With
    `only_looks` nothing is recorded.
    """
    stale = []
    needed = needed_snapshot(export, ledger, rules)
    for day, parts in lake.landed_days(export.system, export.name).items():
        state = ledger.get((export.system, export.name, day))
        is_dispensable = needed not in (None, day)
        if state is None or not _holds(state.newest, export, lake, rules, is_dispensable):
            stale.append(day)
            continue
        newest = state.newest
        folder = lake.landing(export.system, export.name)
        is_touched = landed_stats(folder, parts) != [part.stat for part in newest.landed]
        if not is_touched and all(part.sha256 for part in newest.landed):
            continue
        now = landed(folder, parts)
        if [(p.name, p.sha256) for p in now] != [(p.name, p.sha256) for p in newest.landed]:
            stale.append(day)
        elif is_touched and not only_looks:
            line = replace(newest, landed=now)
            append_to_ledger(lake, line)
            record(ledger, line)
    return stale


def altered_days(export: Export, lake: Lake, ledger: Ledger) -> list[date]:
    """The landed days whose bytes are not those of the newest attempt, although their stat is: what
    `stale_days` cannot see. Reads every file."""
    folder, altered = lake.landing(export.system, export.name), []
    for day, parts in lake.landed_days(export.system, export.name).items():
        state = ledger.get((export.system, export.name, day))
        if state and landed_stats(folder, parts) == [part.stat for part in state.newest.landed]:
            known = [part.sha256 for part in state.newest.landed]
            # Without a hash they were never read to the end.
            if all(known) and [sha256_of(part) for part in parts] != known:
                altered.append(day)
    return altered


def as_of_day(ledger: Ledger, rules: Rules) -> date | None:
    """The as-of day of the marts, as dbt's int_quality__as_of has it: the newest good day of an
    accounts export that `rules` let them read. None where none ever arrived."""
    days = (
        day
        for (system, export, day), state in ledger.items()
        if export == "accounts" and system in rules.systems and state.newest_ok
    )
    return max(filter(rules.reads, days), default=None)


def needed_snapshot(export: Export, ledger: Ledger, rules: Rules) -> date | None:
    """Of a snapshot export, the one landing day that the marts read: its newest good one by the
    as-of day. None where raw keeps every day, as it does until accounts arrive, and of systems that
    are off."""
    if export.kind != "snapshot" or rules.snapshot_days_kept is None:
        return None
    if export.system not in rules.systems:
        return None
    if (as_of := as_of_day(ledger, rules)) is None:
        return None
    known = days_of(ledger, export.system, export.name).items()
    days = (day for day, state in known if state.newest_ok and rules.first_day <= day <= as_of)
    return max(days, default=None)


def _holds(
    line: Extraction, export: Export, lake: Lake, rules: Rules, is_dispensable: bool
) -> bool:
    """Whether the attempt would end the same today if its files are the same."""
    if line.contract != rules.contract(export, line.landing_date):
        return False
    raw = lake.raw_day(export.system, export.name, line.landing_date)
    if line.is_ok and not is_dispensable and not raw.exists():
        return False
    if not line.is_ok and line.max_unpacked_bytes != rules.max_unpacked_bytes:
        return False
    # A day without rejects is within every share.
    is_clean = line.is_ok and line.rows_rejected == 0
    return is_clean or line.max_reject_share == rules.max_reject_share
