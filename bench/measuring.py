"""One process measured: wall time, CPU time, peak memory of it and its children, and its answer.

Everything that is compared runs in a process of its own, so that nobody inherits a warm cache of
another's, and pays for its imports as a user would.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
# Beside the interpreter, because nobody activates .venv.
DBT_EXECUTABLE = Path(sys.executable).with_name("dbt")
PAGE = os.sysconf("SC_PAGE_SIZE")


class TaskFailedError(RuntimeError):
    """A measured process ended badly; its text is the end of what it said."""


@dataclass(frozen=True)
class Measured:
    """Runs of one task: seconds (wall), cpu (seconds of all its processes), peak (bytes, resident,
    all its processes together), answer (what it printed last, as JSON)."""

    name: str
    runs: Sequence[float]
    cpu: float
    peak: int
    answer: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        return statistics.median(self.runs)


def measure(
    name: str,
    command: Sequence[str],
    runs: int,
    *,
    environment: Mapping[str, str] | None = None,
    expects: Sequence[int] = (0,),
    before: Any = None,
) -> Measured:
    """Run `command` `runs` times, each after `before()`; the median is what counts.

    Seconds that a task reports of itself (`seconds` in its answer) replace those of the process,
    where a part of it is meant. Raises TaskFailedError.
    """
    seconds, cpus, peaks, answer = [], [], [], {}
    for _ in range(runs):
        if before:
            before()
        _cpu_of_children()
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=os.environ | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        watch = _Watch(process.pid)
        said = process.communicate()[0]
        took = time.monotonic() - began
        peak = watch.stop()
        cpu = _cpu_of_children()
        if process.returncode not in expects:
            raise TaskFailedError(f"{name} ended with {process.returncode}:\n{said[-3000:]}")
        answer = _answer(said)
        seconds.append(float(answer.pop("seconds", took)))
        cpus.append(cpu)
        peaks.append(peak)
    return Measured(name, seconds, statistics.median(cpus), max(peaks), answer)


def task(name: str, **arguments: Any) -> list[str]:
    """The command of a task of tasks.py."""
    given = [f"{key}={value}" for key, value in arguments.items()]
    return [sys.executable, "-m", "bench.tasks", name, *given]


def machine_facts() -> dict[str, Any]:
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average_before": os.getloadavg()[0],
        **{name: version(name) for name in ("duckdb", "polars", "dagster", "dbt-core", "pandas")},
        "commit": subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=CHECKOUT, capture_output=True, text=True
        ).stdout.strip(),
    }


class _Watch:
    """Looks twenty times a second at the memory of a process and all that it started."""

    def __init__(self, pid: int) -> None:
        self._peak, self._pid, self._ended = 0, pid, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            self._peak = max(self._peak, sum(map(_resident, _family(self._pid))))

    def stop(self) -> int:
        self._ended.set()
        self._thread.join()
        return self._peak


def _family(pid: int) -> set[int]:
    """A process and all its descendants, from the parents that every process names."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family, found = {pid}, {pid}
    while found:
        found = {child for child, parent in parents.items() if parent in found}
        family |= found
    return family


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def _cpu_of_children() -> float:
    """CPU seconds of the children that have ended since the last call."""
    times = os.times()
    total = times.children_user + times.children_system
    spent, _cpu_so_far[0] = total - _cpu_so_far[0], total
    return spent


_cpu_so_far = [0.0]


def _answer(said: str) -> dict[str, Any]:
    lines = said.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
