"""The ledger of extractions: what was extracted, from which bytes, under which rules.

Read every night to answer "is anything new?", so DuckDB is not imported here.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple

from dagster_project.core.lake import Lake

Stat = tuple[str, int, int, int]  # name, size, mtime in ns, inode
Stats = Sequence[Stat]


class Landed(NamedTuple):
    """One landed part as it was read; `name` is relative to the export's landing folder."""

    name: str
    size: int
    mtime_ns: int
    inode: int
    sha256: str

    @property
    def stat(self) -> Stat:
        return self[:4]


@dataclass(frozen=True)
class Extraction:
    """One attempt to extract one landing day of one export; one line of the ledger.

    `rows_in` = accepted + rejected + superseded; a failed day has zeros and says why in `error`.
    `reasons` says why rows were rejected, and how many for each; `drift` names columns of accepted
    files that the contract does not know.
    """

    system: str
    export: str
    landing_date: date
    status: Literal["ok", "failed"]
    files: int
    rows_in: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_superseded: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    drift: tuple[str, ...] = ()
    contract: str = ""
    max_reject_share: float = 0.0
    max_unpacked_bytes: int = 0
    landed: tuple[Landed, ...] = field(default=(), repr=False)

    @property
    def is_ok(self) -> bool:
        return self.status == "ok"

    @property
    def has_broken_off(self) -> bool:
        """Whether it came to no end, so that nobody knows what its files hold."""
        return not self.is_ok and not all(part.sha256 for part in self.landed)

    @property
    def notice(self) -> str:
        """`error` without what it quotes of a file, for eyes outside; the name of the file that
        it begins with may hold brackets."""
        said = self.error or ""
        names = [part.name for part in self.landed if said.startswith(f"{part.name}: ")]
        name = max(names, key=len, default="")
        return name + unquoted(said.removeprefix(name))


class DayState(NamedTuple):
    """The newest attempt at a day, and the one whose rows are in raw."""

    newest: Extraction
    newest_ok: Extraction | None


Ledger = dict[tuple[str, str, date], DayState]


def read_ledger(lake: Lake) -> Ledger:
    """The state of every day ever attempted, by (system, export, landing day).

    A line that is not whole is passed over: its day then counts as not extracted and is read again.
    """
    ledger: Ledger = {}
    if not lake.ledger.exists():
        return ledger
    with lake.ledger.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                record(ledger, _from_json(line))
            except (ValueError, TypeError, KeyError):
                continue
    return ledger


def days_of(ledger: Ledger, system: str, export: str) -> dict[date, DayState]:
    """The state of every attempted day of one export, the oldest first."""
    return {
        day: state for (s, e, day), state in sorted(ledger.items()) if (s, e) == (system, export)
    }


def record(ledger: Ledger, line: Extraction) -> None:
    """Take a newer line into the state."""
    key = (line.system, line.export, line.landing_date)
    before = ledger[key].newest_ok if key in ledger else None
    ledger[key] = DayState(line, line if line.is_ok else before)


def append_to_ledger(lake: Lake, line: Extraction) -> None:
    """Append one line; a torn line that a crash left at the end is cut off first.

    `seq`, the offset of the line, orders the attempts for readers that do not keep line order.
    """
    lake.ledger.parent.mkdir(parents=True, exist_ok=True)
    with lake.ledger.open("a+b") as file:
        # Touched days are recorded by whoever asks what is new, also while another run extracts.
        fcntl.flock(file, fcntl.LOCK_EX)
        end = file.seek(0, os.SEEK_END)
        if end and (file.seek(end - 1), file.read())[1] != b"\n":
            file.seek(0)
            end = file.truncate(file.read().rfind(b"\n") + 1)
        file.write(json.dumps({"seq": end, **asdict(line)}, default=str).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _from_json(text: bytes) -> Extraction:
    line = json.loads(text)
    line.pop("seq", None)
    return Extraction(
        **line
        | {
            "landing_date": date.fromisoformat(line["landing_date"]),
            "drift": tuple(line["drift"]),
            "landed": tuple(Landed(*part) for part in line["landed"]),
        }
    )


def landed_stats(folder: Path, parts: Iterable[Path]) -> list[Stat]:
    """What each part is, named relative to `folder`; zeros for a link that leads nowhere.

    Bytes of a name that are no UTF-8 are escaped, because DuckDB takes no line of the ledger that
    holds half a character; and backslashes, so that no two names become one.
    """
    stats = []
    for part in parts:
        try:
            stat = part.stat()
            facts = stat.st_size, stat.st_mtime_ns, stat.st_ino
        except OSError:
            facts = 0, 0, 0
        name = os.fsencode(part.relative_to(folder)).replace(b"\\", b"\\\\")
        stats.append((name.decode("utf-8", "backslashreplace"), *facts))
    return stats


def landed(folder: Path, parts: tuple[Path, ...]) -> tuple[Landed, ...]:
    """`landed_stats` with the sha256 of each part's bytes (empty where there are none to read)."""
    stats = landed_stats(folder, parts)
    return tuple(Landed(*stat, sha256_of(part)) for stat, part in zip(stats, parts, strict=True))


def sha256_of(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        # Whoever reads the file for its rows says why it cannot be read.
        return ""


def unquoted(sentence: str) -> str:
    """A sentence of ours without what it quotes, for eyes outside: up to its first bracket, because
    what is quoted may hold brackets too. Of a day at fault `Extraction.notice` tells more."""
    return sentence.partition(" (")[0].rstrip(".:;")
