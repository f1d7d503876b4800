"""What is too old to be kept: snapshots of raw that a newer one has superseded, and rejects.

Ages are counted between landing days and not from today, so the same files always end the same. No
mart reads what is dropped here, the ledger keeps its lines, and a day that is wanted again is
extracted again. The caller holds the lock on DATA_DIR. How releases expire is publish.py's.
"""

import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from dagster_project.core.exports import Export
from dagster_project.core.lake import Lake
from dagster_project.core.ledger import Ledger, days_of
from dagster_project.core.staleness import Rules, needed_snapshot


def expire_snapshots(
    lake: Lake, exports: Iterable[Export], ledger: Ledger, rules: Rules
) -> list[Path]:
    """Drop the superseded days of snapshot exports that are `rules.snapshot_days_kept` older than
    the one that the marts read; returns what was dropped."""
    expired = []
    for export in exports:
        needed = needed_snapshot(export, ledger, rules)
        if needed is None or not lake.raw_day(export.system, export.name, needed).exists():
            continue
        oldest = needed - timedelta(rules.snapshot_days_kept or 0)
        expired += [
            lake.raw_day(export.system, export.name, day).parent
            for day in days_of(ledger, export.system, export.name)
            if day < oldest
        ]
    return _drop(expired)


def expire_rejects(lake: Lake, ledger: Ledger, days_kept: int | None) -> list[Path]:
    """Drop the rejects of days that are `days_kept` older than the newest good day of any export;
    returns what was dropped. None keeps them for ever."""
    newest = max((day for (*_, day), state in ledger.items() if state.newest_ok), default=None)
    if newest is None or days_kept is None:
        return []
    oldest = newest - timedelta(days_kept)
    return _drop(path for day, path in lake.rejects_days() if day < oldest)


def _drop(folders: Iterable[Path]) -> list[Path]:
    dropped = [folder for folder in folders if folder.exists()]
    for folder in dropped:
        shutil.rmtree(folder)
    return dropped
