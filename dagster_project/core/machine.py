"""Faults of the machine, told from faults of data: in one sentence, and whether they may pass.

They reach us as OSError, from DuckDB, from SQLite or as text from dbt, and only their texts agree:
but for what quotes a cell, in which anything may stand.
"""

import re
from collections.abc import Callable

_FULL = re.compile("No space left|Disk quota|disk is full|disk full|File too large", re.I)
_FORBIDDEN = re.compile("Read-only|Permission denied|readonly database|Operation not permitted")
# What another process holds now it may not hold in a while.
_PASSING = re.compile(
    "Conflicting lock|Could not set lock|database is locked|temporarily unavailable"
    "|Stale file handle|Input/output error|Connection (reset|refused|timed out)|Interrupted"
    "|Too many open files|Cannot allocate memory|Out of Memory|Failed to allocate|timed out"
)
# All that SQLite, which keeps Dagster's records, says of a disk that takes no more.
_OF_SQLITE = re.compile("disk I/O error")
_OTHER = re.compile(
    "Could not (write|create)|Cannot open file|No files found|unable to open database file"
)
# What quotes rows and statements: by its class, as Python's databases name it, or as a line of dbt.
_OF_DATA = {"DataError", "IntegrityError", "ProgrammingError", "NotSupportedError", "ValueError"}
_SAID_OF_DATA = re.compile(
    r"^.*\b(Conversion|Invalid Input|Constraint|Out of Range|Mismatch Type|Binder|Parser|Catalog"
    r"|Not implemented) Error:.*$",
    re.MULTILINE,
)


def is_of_the_machine(error: BaseException) -> bool:
    """Whether the machine failed, rather than a file or a program of ours."""
    patterns = (_FULL, _OF_SQLITE, _FORBIDDEN, _PASSING, _OTHER)
    return isinstance(error, OSError | MemoryError) or any(map(_in(error), patterns))


def may_pass(error: BaseException) -> bool:
    """Whether the same may go well a little later, with nobody doing anything about it."""
    is_found = _in(error)
    if is_found(_FULL) or is_found(_FORBIDDEN):
        return False
    return isinstance(error, OSError | MemoryError) or is_found(_PASSING)


def sentence(error: BaseException) -> str:
    """What is wrong, for the person who has to do something about it."""
    root = error
    while below := root.__cause__ or root.__context__:
        root = below
    lines = _said(root).splitlines() or [type(root).__name__]
    for pattern, meaning in (
        (_FULL, "The disk is full, or may not be used further"),
        (_OF_SQLITE, "The disk is full, or fails"),
        (_FORBIDDEN, "This may not be written or read"),
        (_PASSING, "The machine did not give what was needed"),
    ):
        if line := next((line for line in lines if pattern.search(line)), None):
            return f"{meaning}: {line.strip()}"
    return lines[0]


def _in(error: BaseException) -> Callable[[re.Pattern[str]], bool]:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    said = "" if kinds & _OF_DATA else _said(error)
    return lambda pattern: bool(pattern.search(said))


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return _SAID_OF_DATA.sub("", str(error)).strip()
