"""What every use of DuckDB here shares: how it is configured, and how SQL spells names and text."""

import re
from collections.abc import Mapping
from pathlib import Path

Engine = Mapping[str, str | int]
# For every DuckDB that writes: a statement that fails while threads of its own still write its file
# may wait for them for ever (duckdb/duckdb issue 23885), so none writes aside.
ENGINE: Engine = {"async_threads": 0}


def engine(memory_limit: str, spill: Path) -> Engine:
    """The configuration of a DuckDB: what does not fit into its memory is spilled to `spill`, and
    not beside the program or the file that it opens."""
    return {**ENGINE, "memory_limit": memory_limit, "temp_directory": str(spill)}


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def file_literal(path: Path) -> str:
    """A path as a literal that DuckDB's globbing leaves alone."""
    return literal(re.sub(r"([\[\]*?])", r"[\1]", str(path)))
