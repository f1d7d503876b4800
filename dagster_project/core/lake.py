"""Where an export day, a raw day, a derived table and a release lie under DATA_DIR.

In Python its paths are spelled here and nowhere else, so that another place for the landing files
can be added in one module; what lies within closes/ and published/ is closes.py's and publish.py's,
within .dagster the settings'. What dbt opens it spells itself: raw and derived in dbt_project.yml,
closes in staging/lake/_sources.yml, the warehouse and .tmp in profiles.yml. Nothing here reads what
a file says.
"""

import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

FORMATS = ("csv", "csv.gz", "jsonl", "jsonl.gz", "parquet")


def landed_format(path: Path) -> str | None:
    """The format that a landing file's name declares, or None: `2024-01-01.csv.gz` is `csv.gz`."""
    return next((ext for ext in FORMATS if path.name.endswith("." + ext)), None)


@dataclass(frozen=True)
class Lake:
    """The data folder; `root` is absolute, because views over Parquet keep paths as written."""

    root: Path

    def __post_init__(self) -> None:
        if not self.root.is_absolute():
            raise ValueError(f"the data folder must be an absolute path: {self.root}")

    @property
    def landings(self) -> Path:
        """Folder of all landing folders."""
        return self.root / "landing"

    def landing(self, system: str, export: str) -> Path:
        return self.landings / system / export

    def raw(self, system: str, export: str) -> Path:
        """Folder of an export's raw days; `<raw>/*/*.parquet` is every day and the empty table."""
        return self.root / "raw" / system / export

    def raw_day(self, system: str, export: str, day: date) -> Path:
        return self.raw(system, export) / f"date={day}" / "data.parquet"

    def raw_empty(self, system: str, export: str) -> Path:
        """A typed table of no rows, so that a glob over an export that never arrived is typed."""
        return self.raw(system, export) / "schema" / "empty.parquet"

    def rejects_day(self, system: str, export: str, day: date) -> Path:
        return self.root / "rejects" / system / export / f"date={day}" / "rejects.parquet"

    def rejects_days(self) -> Iterator[tuple[date, Path]]:
        """Each day that has rejects, of any export, with its folder."""
        for folder in (self.root / "rejects").glob("*/*/date=*"):
            if day := _date(folder.name.removeprefix("date=")):
                yield day, folder

    def derived(self, name: str) -> Path:
        return self.root / "derived" / f"{name}.parquet"

    @property
    def ledger(self) -> Path:
        return self.root / "raw" / "extractions.jsonl"

    @property
    def closes(self) -> Path:
        """Folder of the ledger of monthly closes, a Parquet file per release that closed any."""
        return self.root / "closes"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        return self.root / "published"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def temporary(self) -> Path:
        """Unfinished work; on the file system of the targets, so that `os.replace` is atomic."""
        return self.root / ".tmp"

    def landed_days(self, system: str, export: str) -> dict[date, tuple[Path, ...]]:
        """Every landed day, in order, with its parts: files `<day>.<ext>` and those in `<day>/`.

        A day folder without a file has not landed. A part may have a name of no known format, or
        be a folder: that day is then at fault, which is the extraction's to say.
        """
        return self._walk(system, export)[0]

    def stray_names(self, system: str, export: str) -> list[str]:
        """Names in an export's landing folder that are no day, and therefore never read."""
        return self._walk(system, export)[1]

    def unreadable(self, system: str, export: str) -> str | None:
        """Why an export's landing folder cannot be listed, or None."""
        try:
            self._walk(system, export)
        except OSError as error:
            return error.strerror
        return None

    def landed_day(self, system: str, export: str, day: date) -> tuple[Path, ...]:
        """The parts of one day, as in `landed_days`; empty when it has not landed."""
        folder = self.landing(system, export)
        paths = [folder / name for name in (str(day), *(f"{day}.{ext}" for ext in FORMATS))]
        return tuple(sorted(p for path in paths if _day_of(path) == day for p in _parts(path)))

    def landed_exports(self) -> list[tuple[str, str]]:
        """(system, export) of every folder in landing, declared or not.

        Raises OSError where landing itself may not be read, of which glob says nothing.
        """
        if self.landings.is_dir():
            next(self.landings.iterdir(), None)
        return sorted(
            (export.parent.name, export.name)
            for export in self.landings.glob("*/*")
            if export.is_dir() and not _is_ignored(export.name)
        )

    def misplaced_names(self) -> list[str]:
        """Files that lie above any export's folder, by their path below landing: never read."""
        above = [*self.landings.glob("*"), *self.landings.glob("*/*")]
        return sorted(
            str(path.relative_to(self.landings))
            for path in above
            if not path.is_dir() and not _is_ignored(path.name)
        )

    def _walk(self, system: str, export: str) -> tuple[dict[date, tuple[Path, ...]], list[str]]:
        folder, days, stray = self.landing(system, export), dict[date, list[Path]](), []
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if _is_ignored(path.name):
                continue
            if (day := _day_of(path)) is None:
                stray.append(path.name)
            elif parts := _parts(path):
                days.setdefault(day, []).extend(parts)
        return {day: tuple(sorted(days[day])) for day in sorted(days)}, stray

    @contextmanager
    def replacing(self, target: Path) -> Iterator[Path]:
        """A temporary path to write to, which takes the target's place if the block ends well."""
        self.temporary.mkdir(parents=True, exist_ok=True)
        unfinished = self.temporary / f"{uuid.uuid4().hex}-{target.name}"
        try:
            yield unfinished
            put(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what killed runs left unfinished; the caller holds the lock and has begun
        nothing yet."""
        shutil.rmtree(self.temporary, ignore_errors=True)

    def make_private(self) -> None:
        """Make the folders of rows as they landed, personal data and all, for their owner alone.

        One that is there is left as it is: whoever opened it wider meant it.
        """
        for folder in (self.root / "raw", self.root / "rejects", self.temporary):
            if not folder.exists():
                folder.mkdir(mode=0o700, parents=True)


def spans(days: Iterable[date]) -> str:
    """Days as they follow each other: 2025-06-17..2025-06-20, 2025-06-23."""
    found: list[list[date]] = []
    for day in sorted(days):
        if found and day - found[-1][-1] == timedelta(days=1):
            found[-1].append(day)
        else:
            found.append([day])
    return ", ".join(f"{span[0]}..{span[-1]}" if len(span) > 1 else f"{span[0]}" for span in found)


def put(unfinished: Path, target: Path) -> None:
    """Move a finished file of the same file system to its place, replacing what is there whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    sync(unfinished)
    unfinished.replace(target)


def sync(file: Path) -> None:
    """Wait until a file is on the disk: what is committed after it must not outlive it when the
    power fails."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_ignored(name: str) -> bool:
    """Names that writers use for what is not data, or not yet."""
    return name.startswith((".", "_")) or name.endswith((".tmp", ".part", ".partial"))


def _day_of(path: Path) -> date | None:
    """The day that a name in a landing folder belongs to, or None: it is stray."""
    stem, _, extension = path.name.partition(".")
    if (day := _date(stem)) is None:
        return None
    is_day = extension in FORMATS if _is_file(path) else path.is_dir() and path.name == stem
    return day if is_day else None


def _date(text: str) -> date | None:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A link to where nobody may look has landed: whoever extracts it says why it is not read.
        return True


def _parts(path: Path) -> list[Path]:
    if _is_file(path):
        return [path]
    if path.is_dir():
        try:
            return [part for part in path.iterdir() if not _is_ignored(part.name)]
        except OSError:
            # It has landed, and whoever extracts it says why it cannot be read.
            return [path]
    return []
