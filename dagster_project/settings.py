"""What a person can set, read once: the only reader of the environment.

DATA_DIR, SYSTEMS, VARS, MEMORY_LIMIT and NOTIFY_WEBHOOK become one frozen `Settings`; a value that
makes no sense is refused here, in one sentence, before anything is imported or written. Their uses
stand elsewhere.
"""

import csv
import datetime as dt
import json
import math
import os
import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from dagster_project.core.engine import Engine, engine
from dagster_project.core.exports import Export, load_exports
from dagster_project.core.lake import Lake

CHECKOUT = Path(__file__).resolve().parent.parent
DBT_DIR = CHECKOUT / "dbt"
STAGING_DIR = DBT_DIR / "models" / "staging"
DEFAULT_DATA_DIR = CHECKOUT / "data"
DEFAULT_MEMORY_LIMIT = "4GB"

Scalar = str | int | float | None


class SettingsError(ValueError):
    """A setting that cannot be used; its text is one sentence for the person who set it."""


@dataclass(frozen=True)
class Settings:
    """data_dir is absolute; systems are the source systems that are on; policies are every row of
    dbt/seeds/policies.csv with the value in force; memory_limit is DuckDB's; notify_webhook is a
    secret, shown nowhere."""

    data_dir: Path
    systems: tuple[str, ...]
    policies: Mapping[str, Scalar]
    memory_limit: str = DEFAULT_MEMORY_LIMIT
    notify_webhook: str | None = field(default=None, repr=False)

    @property
    def lake(self) -> Lake:
        return Lake(self.data_dir)

    @cached_property
    def exports(self) -> dict[str, Export]:
        """The declared exports of the systems that are on, by `<system>/<name>`."""
        return {name: it for name, it in declared().items() if it.system in self.systems}

    @property
    def dagster_home(self) -> Path:
        return self.data_dir / ".dagster"

    @property
    def engine(self) -> Engine:
        """The configuration of DuckDB, but for that of extraction, which spills by itself."""
        return engine(self.memory_limit, self.lake.temporary)

    def integer(self, policy: str) -> int:
        """The value of a policy that policies.csv declares as an integer."""
        return int(self.policies[policy] or 0)

    def optional_integer(self, policy: str) -> int | None:
        """The same where empty is no zero."""
        return None if self.policies[policy] in (None, "") else self.integer(policy)

    @property
    def dbt_vars(self) -> str:
        """The value of dbt's --vars, as JSON."""
        return json.dumps({"systems": list(self.systems), **self.policies}, sort_keys=True)


@cache
def declared() -> Mapping[str, Export]:
    """The declared exports of every system, by `<system>/<name>`. Raises ContractError."""
    return load_exports(STAGING_DIR)


@cache
def current() -> Settings:
    """The settings of this process. Raises SettingsError, and ContractError."""
    notify_webhook = webhook()
    # Absolute from here on, also for dbt: views over Parquet keep the path text as given.
    data_dir = Path(os.environ.get("DATA_DIR") or DEFAULT_DATA_DIR).absolute()
    # The path ends up in SQL literals, globs, dbt's own templates of sources
    # and, for Dagster's records, in a URL.
    if unusable := sorted({*re.findall(r"['*?\[\]{}()#\\]|%[0-9A-Fa-f]{2}", str(data_dir))}):
        raise SettingsError(f"DATA_DIR may not contain {' '.join(unusable)}: {data_dir}")
    os.environ["DATA_DIR"] = str(data_dir)
    project_vars = yaml.safe_load((DBT_DIR / "dbt_project.yml").read_text())["vars"]
    return Settings(
        data_dir=data_dir,
        systems=_systems(os.environ.get("SYSTEMS", ""), project_vars["systems"]),
        policies=_policies(os.environ.get("VARS", ""), project_vars),
        memory_limit=_memory_limit(os.environ.get("MEMORY_LIMIT", "").strip()),
        notify_webhook=notify_webhook,
    )


def _memory_limit(text: str) -> str:
    """What extraction and dbt give DuckDB, which spills to DATA_DIR/.tmp what does not fit."""
    if text and not re.fullmatch(r"[1-9]\d*(MB|GB|MiB|GiB)", text):
        raise SettingsError(f"MEMORY_LIMIT must be a size like 4GB or 800MB: {text}")
    os.environ["MEMORY_LIMIT"] = text or DEFAULT_MEMORY_LIMIT  # dbt's profile reads it
    return os.environ["MEMORY_LIMIT"]


def webhook() -> str | None:
    """Who is told what goes wrong, also where the other settings cannot be read. Raises
    SettingsError."""
    url = os.environ.get("NOTIFY_WEBHOOK", "").strip()
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if url and not (is_usable and url.isascii() and url.isprintable() and " " not in url):
        # Without the value: it may be a secret with a slip in it.
        raise SettingsError("NOTIFY_WEBHOOK must be an http or https URL.")
    return url or None


def _systems(text: str, default: list[str]) -> tuple[str, ...]:
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    if not chosen:
        return tuple(default)
    known = sorted({export.system for export in declared().values()})
    if unknown := [name for name in chosen if name not in known]:
        raise SettingsError(
            f"SYSTEMS names {', '.join(unknown)}, but the source systems are {', '.join(known)}."
        )
    return tuple(dict.fromkeys(chosen))


def _policies(text: str, defaults: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
    with (DBT_DIR / "seeds" / "policies.csv").open(newline="") as file:
        allowed = {row["policy"]: row["allowed_values"] for row in csv.DictReader(file)}
    try:
        overrides = yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError):  # ValueError: what looks like a date and is none
        overrides = None
    if not isinstance(overrides, dict):
        raise SettingsError(f"VARS must be a YAML mapping like {{trial_policy: include}}: {text}")
    policies = {name: _plain(overrides.get(name, defaults[name])) for name in allowed}
    listing = "".join(
        f"\n  {name}: {values} (default: {'empty' if defaults[name] is None else defaults[name]})"
        for name, values in allowed.items()
    )
    if unknown := [name for name in overrides if name not in allowed]:
        raise SettingsError(f"VARS names {unknown[0]}, which is no policy. The policies:{listing}")
    for name, values in allowed.items():
        if not any(_fits(policies[name], value) for value in values.split(" | ")):
            where = "VARS" if name in overrides else "dbt/dbt_project.yml"
            raise SettingsError(
                f"{where} sets {name} to {policies[name]!r}, which is not {values}."
                f" The policies:{listing}"
            )
    return policies


def _plain(value: object) -> Scalar:
    """A date that YAML recognised goes back to its text, because dbt gets the values as JSON."""
    return value.isoformat() if isinstance(value, dt.date) else value  # type: ignore[return-value]


def _fits(value: Scalar, allowed: str) -> bool:
    """Whether a value is the word, or of the kind, that policies.csv allows."""
    if value is None or value == "":
        return allowed == "empty"
    if fits := _KINDS.get(allowed):
        return fits(value)
    # Without a bound, what a span of time is counted from or to may lie outside all dates.
    if bounded := re.fullmatch(r"integer up to (\d+)", allowed):
        return _is_count(value) and float(value) <= int(bounded[1])
    return allowed != "empty" and value == allowed


def _is_number(value: Scalar) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: Scalar) -> bool:
    return _is_number(value) and isinstance(value, int) and value >= 0


def _is_date(value: Scalar) -> bool:
    try:
        # Also takes 20240101 and 2024-W01-1, which SQL does not.
        return dt.date.fromisoformat(str(value)).isoformat() == str(value)
    except ValueError:
        return False


def _is_ascending(value: Scalar) -> bool:
    ages = [age.strip() for age in value.split(",")] if isinstance(value, str) else [""]
    return all(re.fullmatch("[0-9]{1,5}", age) for age in ages) and all(
        int(age) < int(older) for age, older in pairwise(ages)
    )


_KINDS: Mapping[str, Callable[[Scalar], bool]] = {
    "integer": _is_count,
    "number": _is_number,
    "share": lambda value: _is_number(value) and 0 <= float(value or 0) <= 1,
    "date": _is_date,
    "time_zone": lambda value: str(value) in zoneinfo.available_timezones(),
    "currency": lambda value: bool(re.fullmatch("[A-Z]{3}", str(value))),
    "text": lambda value: isinstance(value, str),
    "ascending integers": _is_ascending,
}
