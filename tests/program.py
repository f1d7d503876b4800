"""The program as a person runs it, and landing files as an exporter writes them, or locks them."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
# For a file of tests/ that is run by itself.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(CHECKOUT)}


def run_program(
    data_dir: Path, *command: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """`python -m dagster_project run`, or another command, on `data_dir`; its output, both streams
    as one."""
    environment = {k: v for k, v in os.environ.items() if k not in ("SYSTEMS", "VARS")}
    return subprocess.run(
        [sys.executable, "-m", "dagster_project", *(command or ("run",))],
        cwd=CHECKOUT,
        env=environment | {"DATA_DIR": str(data_dir)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def land(
    data_dir: Path, export: str, day: date, rows: list[dict[str, Any]], extension: str = "csv"
) -> Path:
    """Write `rows` as one landing file of `export`."""
    target = data_dir / "landing" / export / f"{day}.{extension}"
    target.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame(rows, infer_schema_length=None)
    match extension:
        case "csv":
            frame.write_csv(target)
        case "csv.gz":
            frame.write_csv(target, compression="gzip")
        case "jsonl.gz":
            frame.write_ndjson(target, compression="gzip")
        case "parquet":
            frame.write_parquet(target)
    return target


def lock(patch: pytest.MonkeyPatch, method: str, path: Path) -> None:
    """Have `method` of Path refuse `path`, also to root, who may read what has no rights."""
    unlocked = getattr(Path, method)

    def locked(asked: Path, *rest: Any, **others: Any) -> Any:
        if asked == path:
            raise PermissionError(13, "Permission denied", str(path))
        return unlocked(asked, *rest, **others)

    patch.setattr(Path, method, locked)
