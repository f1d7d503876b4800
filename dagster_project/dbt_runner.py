"""dbt's commands in this process: what dbt imports and parses is paid for once a night.

As processes of their own two builds a night cost more before their first model than a small day
does. Heavy to import. What the results mean for Dagster stands in defs/dbt_models.py.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest
from dbt_common.events.functions import msg_to_dict

from dagster_project.settings import DBT_DIR

RESULTS = ("LogModelResult", "LogSeedResult", "LogTestResult")
THREAD = "dbt build"


class DbtError(RuntimeError):
    """A command of dbt failed; its text is what dbt said against it."""


@cache
def parsed(dbt_vars: str, target: Path) -> Manifest:
    """The project as dbt parses it. Raises DbtError."""
    manifest: Manifest = _invoke(["parse", "--no-write-json", *_where(dbt_vars, target)])
    return manifest


def build(dbt_vars: str, target: Path, selection: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Build what `selection`, options of dbt, chooses; dbt's event of each result as it comes.

    Raises DbtError at the end if anything failed.
    """
    manifest = parsed(dbt_vars, target)
    args = ["build", "--no-write-json", *selection, *_where(dbt_vars, target)]
    results: SimpleQueue[dict[str, Any] | BaseException | None] = SimpleQueue()

    def run() -> None:
        try:
            _invoke(args, manifest, results)
            results.put(None)
        except BaseException as error:
            results.put(error)

    # A thread, so that results reach Dagster as they come. It ends with the process at the latest.
    thread = threading.Thread(target=run, name=THREAD, daemon=True)
    thread.start()
    while isinstance(result := results.get(), dict):
        yield result
    thread.join()
    if result:
        raise result


def is_building() -> bool:
    """Whether a build goes on, though who asked for it may have been interrupted."""
    return any(thread.name == THREAD for thread in threading.enumerate())


def _invoke(
    args: Sequence[str],
    manifest: Manifest | None = None,
    results: "SimpleQueue[Any] | None" = None,
) -> Any:
    said = []
    # DuckDB's log beside the warehouse holds what the warehouse does, and outlives a kill. For the
    # whole process, because threads have none of their own; others of it publish later.
    umask = os.umask(0o077)

    def hear(event: Any) -> None:
        if event.info.level == "error":
            said.append(event.info.msg)
        if results and event.info.name in RESULTS:
            results.put(msg_to_dict(event))

    try:
        done: dbtRunnerResult = dbtRunner(manifest, [hear]).invoke(
            ["--quiet", "--no-use-colors", *args]
        )
    finally:
        # It keeps the warehouse open, and nobody else could read it.
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
        os.umask(umask)
    if not done.success:
        raise DbtError("\n\n".join(said) or str(done.exception))
    return done.result


def _where(dbt_vars: str, target: Path) -> list[str]:
    return [
        *("--vars", dbt_vars, "--project-dir", str(DBT_DIR), "--profiles-dir", str(DBT_DIR)),
        *("--target-path", str(target), "--log-path", str(target)),
    ]
