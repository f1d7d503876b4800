"""Is a landed file whole? Told by its standing still, where its writer gives no other sign.

Names that writers use for what is unfinished are lake.py's to know; that a file changed after all,
while it was read, is extraction.py's to find.
"""

import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from dagster_project.core.exports import Export
from dagster_project.core.lake import Lake
from dagster_project.core.ledger import Stats, landed_stats


def settled(export: Export, lake: Lake, days: Sequence[date], seconds: float) -> list[date]:
    """Those of `days` whose files were last written at least `seconds` ago, or did not change while
    that was waited for; it is waited for once, for all of them together.

    The second way is that of files dated in the future, by a writer whose clock goes ahead.
    """
    before = {day: _stats(export, lake, day) for day in days}
    waits = {day: wait for day in days if (wait := seconds - _age(before[day])) > 0}
    if waits:
        time.sleep(min(seconds, max(waits.values())))
    return [day for day in days if day not in waits or _stats(export, lake, day) == before[day]]


def _stats(export: Export, lake: Lake, day: date) -> Stats:
    """Of the parts, and of a day's folder: what is moved into it may have been written before."""
    folder = lake.landing(export.system, export.name)
    parts = lake.landed_day(export.system, export.name, day)
    folders: set[Path] = {part.parent for part in parts} - {folder}
    return landed_stats(folder, [*parts, *sorted(folders)])


def _age(stats: Stats) -> float:
    return time.time() - max((mtime for _, _, mtime, _ in stats), default=0) / 1e9
