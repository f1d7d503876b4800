"""The declared exports and their contracts: the dbt sources YAML files and nothing else.

Reading the exports themselves is extraction.py's. "Is anything new?" rests on this module every
night, so DuckDB is not imported here.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

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
    modules = ("engine", "extraction", "files", "rows")
    paths = (Path(__file__).with_name(f"{name}.py") for name in modules)
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


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
