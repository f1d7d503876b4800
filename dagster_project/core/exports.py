"""The declared exports and their contracts, and the ledger of what has been extracted from them.

The contracts are the dbt sources YAML files and nothing else. Reading the exports themselves is
extraction.py's: this module answers "is anything new?" every night, so it must not import DuckDB.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import yaml

from dagster_project.core.lake import Lake

TYPES = ("text", "bigint", "integer", "double", "decimal", "boolean", "date", "timestamp")
KINDS = ("snapshot", "append")
_NUMERIC = ("bigint", "integer", "double", "decimal")
# Names end in SQL identifiers, JSON paths and a reason's text.
_NAME = re.compile(r"""[^"'\\\x00-\x1f]+""")


class ContractError(ValueError):
    """A sources YAML that does not declare an export properly; its text is one sentence."""


@dataclass(frozen=True)
class Column:
    """One contracted column; `values`, `minimum` and `maximum` (inclusive) bound its content."""

    name: str
    type: str
    is_nullable: bool = False
    values: tuple[str, ...] = ()
    minimum: Decimal | None = None
    maximum: Decimal | None = None


@dataclass(frozen=True)
class Export:
    """One contracted export. Naive timestamps in it are read in `time_zone`."""

    system: str
    name: str
    kind: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    time_zone: str = "UTC"
    event_time: str | None = None
    # Where deliveries are rarer than the policy of the same name has it.
    late_after_hours: int | None = None

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all that decides what files yield: the contract and the reading code."""
        facts = asdict(self)
        del facts["late_after_hours"]
        contract = json.dumps(facts, sort_keys=True, default=str)
        return hashlib.sha256(f"{contract}\n{_reader_source()}".encode()).hexdigest()


@cache
def _reader_source() -> str:
    modules = (Path(__file__).with_name(f"{name}.py") for name in ("extraction", "files", "rows"))
    return "\n".join(module.read_text(encoding="utf-8") for module in modules)


def load_exports(staging_dir: Path) -> dict[str, Export]:
    """Every export declared under `staging_dir`, by `<system>/<name>`.

    A source table with `config.meta.kind` is an export. Raises ContractError.
    """
    exports = {}
    for path in sorted(staging_dir.glob("*/_sources.yml")):
        try:
            # libyaml where it was compiled in: ten times faster on the nightly "anything new?".
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            document = yaml.load(path.read_text(encoding="utf-8"), loader) or {}
        except yaml.YAMLError as error:
            raise ContractError(f"{path} is not YAML: {error}") from error
        for source in document.get("sources", ()):
            for table in source.get("tables", ()):
                meta = (table.get("config") or {}).get("meta") or {}
                if "kind" not in meta and "key" not in meta:
                    continue
                name = f"{source['name']}/{table.get('name')}"
                if name in exports:
                    raise ContractError(f"{path}: {name} is declared twice")
                try:
                    exports[name] = _export(source["name"], table, meta)
                except ContractError as error:
                    raise ContractError(f"{path}: {name}: {error}") from None
    return exports


def _export(system: str, table: Mapping[str, Any], meta: Mapping[str, Any]) -> Export:
    _known(
        meta,
        {"kind", "key", "time_zone", "event_time", "end_date_is_inclusive", "late_after_hours"}
        | {"dagster"},
    )
    columns = tuple(_column(entry) for entry in table.get("columns") or ())
    types = {column.name: column for column in columns}
    key = meta.get("key")
    zone = meta.get("time_zone", "UTC")
    event_time, late = meta.get("event_time"), meta.get("late_after_hours")
    _check(len(columns) >= 2, "an export has at least two columns")
    _check(len(types) == len(columns), "a column is declared twice")
    _check("landing_date" not in types, "landing_date is added by the extraction")
    _check(meta.get("kind") in KINDS, f"kind is one of {', '.join(KINDS)}")
    _check(isinstance(key, list) and bool(key), "key is a list of columns")
    for name in (*(key or ()), *([event_time] if event_time else [])):
        _check(name in types, f"{name} is not one of its columns")
    for name in key or ():
        _check(not types[name].is_nullable, f"{name} is in the key and may not be nullable")
    if event_time:
        _check(types[event_time].type in ("date", "timestamp"), f"{event_time} is not a time")
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError, TypeError):
        raise ContractError(f"time_zone {zone!r} is not known") from None
    _check(late is None or (type(late) is int and late > 0), "late_after_hours is a whole number")
    return Export(
        system, table["name"], meta["kind"], tuple(key or ()), columns, zone, event_time, late
    )


def _column(entry: Mapping[str, Any]) -> Column:
    name, type_ = entry.get("name"), entry.get("data_type")
    meta = (entry.get("config") or {}).get("meta") or {}
    _check(isinstance(name, str) and bool(_NAME.fullmatch(name)), f"{name!r} is no column name")
    _check(type_ in TYPES, f"{name}: data_type is one of {', '.join(TYPES)}")
    try:
        _known(meta, {"nullable", "values", "minimum", "maximum"})
        nullable, values = meta.get("nullable", False), meta.get("values", [])
        bounds = [meta.get("minimum"), meta.get("maximum")]
        _check(isinstance(nullable, bool), "nullable is true or false")
        # Unquoted yes, no and numbers are not text in YAML.
        _check(
            isinstance(values, list) and all(isinstance(value, str) for value in values),
            "values is a list of texts; quote those that YAML reads otherwise",
        )
        _check(not values or type_ == "text", "values are for text columns")
        _check(bounds == [None, None] or type_ in _NUMERIC, "bounds are for numbers")
        low, high = (None if bound is None else Decimal(str(bound)) for bound in bounds)
    except (ContractError, InvalidOperation) as error:
        raise ContractError(f"{name}: {error}") from None
    return Column(str(name), str(type_), nullable, tuple(values), low, high)


def _check(is_right: bool, sentence: str) -> None:
    if not is_right:
        raise ContractError(sentence)


def _known(meta: Mapping[str, Any], known: set[str]) -> None:
    _check(meta.keys() <= known, f"unknown meta: {', '.join(sorted(meta.keys() - known))}")


# --- The ledger: what was extracted, from which bytes, under which rules --------------------------


class Landed(NamedTuple):
    """One landed part as it was read; `name` is relative to the export's landing folder."""

    name: str
    size: int
    mtime_ns: int
    inode: int
    sha256: str

    @property
    def stat(self) -> tuple[str, int, int, int]:
        return self[:4]


@dataclass(frozen=True)
class Rules:
    """What decides over a day besides its contract."""

    first_day: date
    max_reject_share: float
    max_unpacked_bytes: int = 2**63 - 1
    # Superseded days of snapshots that may be missing from raw; None: none may.
    snapshot_days_kept: int | None = None
    as_of: date = date.max
    # The source systems that are on.
    systems: tuple[str, ...] = ()

    def contract(self, export: Export, day: date) -> str:
        """What a ledger line remembers, so that a day is read again when it would end otherwise."""
        return export.fingerprint if day >= self.first_day else "before the first day"


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
    """How each day of one export stands, the oldest first."""
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


def stale_days(
    export: Export, lake: Lake, ledger: Ledger, rules: Rules, only_looks: bool = False
) -> list[date]:
    """The landed days that are new, changed, or were read under other rules; oldest first.

    A part counts as unchanged by name, size, mtime and inode; only when those differ is its content
    hashed. A touched day is recorded with its new stat, so that it is not hashed again each night.
    A part that could not be read has no hash, and is looked at each time until it has one. Who
    `only_looks` records nothing.
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
            line = Extraction(**{**vars(newest), "landed": now})
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
    accounts export by `rules.as_of`. None where none ever arrived."""
    days = (
        day
        for (system, export, day), state in ledger.items()
        if export == "accounts" and system in rules.systems and state.newest_ok
    )
    return max((day for day in days if day <= rules.as_of), default=None)


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
    days = days_of(ledger, export.system, export.name).items()
    return max((day for day, state in days if state.newest_ok and day <= as_of), default=None)


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


def landed_stats(folder: Path, parts: Iterable[Path]) -> list[tuple[str, int, int, int]]:
    """(name, size, mtime in ns, inode) of each part, named relative to `folder`; zeros for a link
    that leads nowhere."""
    stats = []
    for part in parts:
        try:
            stat = part.stat()
            facts = stat.st_size, stat.st_mtime_ns, stat.st_ino
        except OSError:
            facts = 0, 0, 0
        stats.append((str(part.relative_to(folder)), *facts))
    return stats


def landed(folder: Path, parts: tuple[Path, ...]) -> tuple[Landed, ...]:
    """`landed_stats` with the sha256 of each part's bytes (empty where there are none to read)."""
    stats = landed_stats(folder, parts)
    return tuple(Landed(*stat, sha256_of(part)) for stat, part in zip(stats, parts, strict=True))


def sha256_of(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        # Whoever reads the file for its rows says why it cannot be read.
        return ""


def unquoted(sentence: str) -> str:
    """The sentence of a failed day without what it quotes of the file, for eyes outside."""
    return sentence.partition(" (")[0].rstrip(".:;")


def is_declared(export: Export, lake: Lake) -> bool:
    """Whether raw holds the typed empty table of this contract (see Extractor.ensure_empty)."""
    stamp = lake.raw_empty(export.system, export.name).with_suffix(".contract")
    return stamp.exists() and stamp.read_text(encoding="utf-8") == export.fingerprint
