"""What is measured: the six lines of speed that the project promises, each a function of a Bench.

A line lays out its data folders, measures the project and its peers in turn, holds their answers
against each other and gives ratios with their targets. How a process is measured stands in
measuring.py, what it does in tasks.py.
"""

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from bench.chart import cost_chart
from bench.measuring import DBT_EXECUTABLE, Measured, TaskFailedError, measure, task
from bench.models import compile_models
from bench.world import LAST_DAY, World
from dagster_project import settings
from dagster_project.settings import DBT_DIR

GB = 1e9
PROGRAM = [sys.executable, "-m", "dagster_project", "run"]
PUBLISHED = (0, 3)


class DisagreementError(AssertionError):
    """Two that were measured gave different answers, so their times mean nothing."""


@dataclass(frozen=True)
class Finding:
    """A measured ratio (or amount, by its unit) beside its target; at_least: more is better. Of a
    ratio of times, cpu is that of CPU seconds, which a busy machine disturbs less."""

    line: int
    what: str
    value: float
    target: float | None = None
    unit: str = "x"
    at_least: bool = False
    cpu: float | None = None

    @property
    def is_reached(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


@dataclass
class Bench:
    """One run of the benchmark: where it may write, how large, how often, against whom."""

    root: Path
    world: World
    runs: int
    peers: Sequence[str]
    say: Callable[[str], None]
    measured: list[Measured] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def folder(self, name: str) -> Path:
        return self.root / "work" / name

    def measure(self, name: str, command: Sequence[str], **options: Any) -> Measured:
        result = measure(name, command, options.pop("runs", self.runs), **options)
        self.measured.append(result)
        self.say(
            f"  {name:<44}{result.seconds:>9.2f} s {result.cpu:>9.2f} CPU s"
            f" {result.peak / GB:>7.2f} GB"
        )
        return result

    def program(self, name: str, data_dir: Path, **options: Any) -> Measured:
        """`make run` on a data folder."""
        environment = {"DATA_DIR": str(data_dir)}
        return self.measure(name, PROGRAM, environment=environment, expects=PUBLISHED, **options)

    def peer(self, name: str, command: Sequence[str]) -> Measured | None:
        """Another's measurement; None where it cannot do it at this size, as for want of memory."""
        try:
            return self.measure(name, command)
        except TaskFailedError as error:
            self.say(f"  {name:<44} failed: {str(error).strip().splitlines()[-1][:80]}")
            return None

    def find(self, *args: Any, **options: Any) -> None:
        self.findings.append(Finding(*args, **options))

    def compare(
        self,
        line: int,
        one: Measured,
        other: Measured,
        what: str,
        target: float | None = None,
        at_least: bool = False,
    ) -> None:
        """Find the time of one / that of the other."""
        ratio, cpu = one.seconds / other.seconds, one.cpu / other.cpu
        self.find(line, what, ratio, target, at_least=at_least, cpu=cpu)


def agree(*measured: Measured) -> None:
    """Raises DisagreementError unless the answers are the same, but for the last digits of sums."""
    first = measured[0]
    for other in measured[1:]:
        for name, value in first.answer.items():
            found = other.answer.get(name)
            if found is None or abs(found - value) > 1e-8 * max(1.0, abs(value)):
                raise DisagreementError(
                    f"{name}: {first.name} says {value}, {other.name} says {found}"
                )


def extraction(bench: Bench) -> None:
    """Line 1: one landing file to one Parquet, beside DuckDB's COPY of the same file."""
    clean, dirty = bench.folder("extract"), bench.folder("extract_dirty")
    bench.world.land(
        clean, events={LAST_DAY: bench.world.clean_events()}, small=False, periods=False
    )
    bench.world.land(
        dirty, events={LAST_DAY: bench.world.events_as_exported()}, small=False, periods=False
    )
    target = bench.folder("extract") / "copy.parquet"
    copy = bench.measure(
        "copy: DuckDB", task("copy_csv", csv=bench.world.clean_events(), target=target)
    )
    ours = bench.measure(
        "extraction", task("extract", data_dir=clean), before=lambda: _forget_raw(clean)
    )
    unkeyed = bench.measure(
        "extraction, keys not counted",
        task("extract", data_dir=clean, keys="no"),
        before=lambda: _forget_raw(clean),
    )
    exported = bench.measure(
        "extraction, 0.02 % faulty and 0.1 % repeated rows",
        task("extract", data_dir=dirty),
        before=lambda: _forget_raw(dirty),
    )
    if not copy.answer["rows"] == ours.answer["rows"] == unkeyed.answer["rows"]:
        raise DisagreementError(f"rows: {copy.answer}, {ours.answer}, {unkeyed.answer}")
    bench.compare(1, unkeyed, copy, "extraction without key accounting / COPY", 1.3)
    bench.compare(1, ours, copy, "extraction / COPY", 2.0)
    bench.compare(1, exported, copy, "extraction of a file with faults / COPY")
    peak = max(ours.peak, exported.peak) / GB
    bench.find(1, "peak memory of an extraction", peak, 4.0, "GB")


def build(bench: Bench) -> None:
    """Line 2: landing to published beside the floor, and the rollup of events beside everybody."""
    data_dir = bench.folder("build")
    events = bench.world.clean_events()

    def fresh() -> None:
        bench.world.land(data_dir, events={LAST_DAY: events})

    ours = bench.program("landing to published", data_dir, before=fresh)
    floor = bench.measure(
        "landing to marts: floor",
        task("floor", data_dir=data_dir, models=compile_models(data_dir)),
    )
    # The same task over the published marts gives the same checksums.
    published = measure("published marts", task("published", data_dir=data_dir), 1)
    agree(published, floor)
    bench.compare(2, ours, floor, "landing to published / floor", 2.0)
    bench.find(2, "peak memory of a full build", ours.peak / GB, 8.0, "GB")
    rollup(bench, data_dir)


def rollup(bench: Bench, data_dir: Path) -> None:
    """Line 2, second half: events rolled up to account and day, from the CSV and from Parquet."""
    csv = bench.world.clean_events()
    models = compile_models(data_dir, ["int_usage__account_days"])
    raw = data_dir / "raw/product/events" / f"date={LAST_DAY}" / "data.parquet"
    for source, path, least in (("csv", csv, (5.0, 5.0)), ("parquet", raw, (2.0, 5.0))):
        ours = bench.measure(
            f"rollup from {source}",
            task("rollup_ours", data_dir=data_dir, models=models, source=source),
            before=(lambda: _forget_raw(data_dir)) if source == "csv" else None,
        )
        peers = {"duckdb": None, "pandas": least[0], "pyspark": least[1]}
        for peer, target in peers.items():
            if peer in bench.peers and _can_read(peer, source, bench):
                what = f"rollup from {source}: {peer}"
                if theirs := bench.peer(what, _peer(task(f"rollup_{peer}", path=path))):
                    agree(ours, theirs)
                    bench.compare(2, theirs, ours, f"{what} / ours", target, at_least=True)


def nights(bench: Bench) -> None:
    """Line 3: a night on top of a long history and of a short one, a small night, an idle one."""
    days = list(bench.world.days().items())
    history, new = days[: -bench.runs - 1], days[-bench.runs - 1 :]
    folders = {"long": bench.folder("night_long"), "short": bench.folder("night_short")}
    for name, data_dir in folders.items():
        past = history if name == "long" else history[-30:]
        bench.world.land(data_dir, events=dict(past))
        _land_small_exports(data_dir, history[-1][0])
        bench.program(f"first build, {name} history", data_dir, runs=1)
    taken: dict[str, list[Measured]] = {"long": [], "short": []}
    for day, path in new[:-1]:
        for name, data_dir in folders.items():
            bench.world.link(data_dir, "product/events", day, path)
            _snapshot_accounts(data_dir, day)
            night = bench.program(f"night, {name} history", data_dir, runs=1)
            taken[name].append(night)
    long, short = (_median(taken[name]) for name in ("long", "short"))
    bench.find(3, "night on long history / on one month", long / short, 1.2)

    data_dir, day = folders["short"], new[-1][0]
    smalls, bares, idles = [], [], []
    for number in range(bench.runs):
        _snapshot_accounts(data_dir, day + timedelta(number))
        smalls.append(bench.program("night, one small new day", data_dir, runs=1))
        bares.append(_bare_build(bench, "bare dbt build", data_dir))
        idles.append(bench.program("night, nothing new", data_dir, runs=1))
    bench.find(3, "night with a small new day / dbt build", _median(smalls) / _median(bares), 1.5)
    bench.find(3, "night with nothing new", _median(idles), 2.0, "s")


def backfill(bench: Bench) -> None:
    """Line 4: a year of days through Dagster, beside core and dbt without it."""
    days = dict(list(bench.world.days().items())[-365:])
    through, plain = bench.folder("backfill_dagster"), bench.folder("backfill_plain")
    for data_dir in (through, plain):
        bench.world.land(data_dir, events=days)
    extracts, builds, plain_extracts, plain_builds = [], [], [], []
    bench.program("first build of all", through, runs=1)
    for name in ("derived", "closes"):
        shutil.copytree(through / name, plain / name, dirs_exist_ok=True)
    span = {"first": min(days), "last": max(days)}
    for _ in range(bench.runs):
        environment = {"DATA_DIR": str(through)}
        extracts.append(
            bench.measure(
                f"backfill of {len(days)} days: Dagster",
                task("backfill", **span),
                environment=environment,
                runs=1,
            )
        )
        builds.append(
            bench.measure(
                "build after it: Dagster",
                task("build"),
                environment=environment,
                runs=1,
            )
        )
        _forget_raw(plain)
        plain_extracts.append(
            bench.measure(
                "the same days: core",
                task("extract_all", data_dir=plain),
                runs=1,
            )
        )
        plain_builds.append(_bare_build(bench, "build after it: dbt", plain))
    ours = _median(extracts) + _median(builds)
    theirs = _median(plain_extracts) + _median(plain_builds)
    allowance = 0.03 * len(days)
    bench.find(4, "backfill / core and dbt, 30 ms a day allowed", (ours - allowance) / theirs, 1.5)
    extra = 1000 * (_median(extracts) - _median(plain_extracts)) / len(days)
    bench.find(4, "what Dagster adds to a day", extra, None, "ms")


def growth(bench: Bench) -> None:
    """Line 5: the cost of an event at a tenth, at the full and at three times the size."""
    costs = []
    for factor in (0.1, 1, 3):
        size = replace(bench.world.size, events=int(bench.world.size.events * factor))
        world = World(bench.root / "worlds", size)
        # The CSV, the lake and the rollup take some 300 bytes of an event.
        if shutil.disk_usage(bench.root).free < 400 * size.events:
            bench.say(f"  {size.events:,} events: not enough disk")
            continue
        data_dir = bench.folder("growth")
        world.land(data_dir, events={LAST_DAY: world.clean_events()}, periods=False)
        models = compile_models(data_dir, ["int_usage__account_days"])
        result = bench.measure(
            f"extraction and rollup of {size.events:,} events",
            task("rollup_ours", data_dir=data_dir, models=models, source="csv"),
            before=lambda data_dir=data_dir: _forget_raw(data_dir),
        )
        costs.append((size.events, result))
    slowest = max(result.seconds / events for events, result in costs)
    for events, result in costs:
        each = result.seconds / events
        bar = "#" * round(40 * each / slowest)
        bench.say(f"  {events:>13,} events {1e6 * each:>8.2f} us each {bar}")
    (few, first), (many, last) = costs[0], costs[-1]
    each = (last.seconds / many) / (first.seconds / few)
    cpu = (last.cpu / many) / (first.cpu / few)
    bench.find(5, f"cost of an event at {many:,} / at {few:,}", each, 1.0, cpu=cpu)
    series = {
        "seconds": [(events / 1e6, result.seconds) for events, result in costs],
        "CPU seconds": [(events / 1e6, result.cpu) for events, result in costs],
    }
    chart = bench.root / "growth.svg"
    title = "Landed CSV to the account x day rollup (dashed: linear)"
    chart.write_text(cost_chart(title, "million events", "seconds", series))
    bench.say(f"  {chart}")


def bridge(bench: Bench) -> None:
    """Line 6: bridge and cohorts, beside the two plain ways and pandas."""
    data_dir = bench.folder("bridge")
    bench.world.land(data_dir, events={})
    measure("raw", task("extract_all", data_dir=data_dir), 1)
    models = compile_models(data_dir, ["mart_mrr_bridge", "mart_cohort_retention"])
    ours = bench.measure("bridge and cohorts", task("bridge_ours", models=models))
    plain = {
        way: bench.measure(
            f"bridge and cohorts: plain DuckDB, {way}",
            task("bridge_duckdb", data_dir=data_dir, way=way),
        )
        for way in ("spine", "steps")
    }
    agree(ours, *plain.values())
    best = min(plain.values(), key=lambda theirs: theirs.seconds)
    bench.compare(6, ours, best, "bridge and cohorts / best plain DuckDB", 2.0)
    bench.compare(6, plain["spine"], ours, "account x month spine / ours", at_least=True)
    if "pandas" in bench.peers:
        what = "bridge and cohorts: pandas"
        if theirs := bench.peer(what, task("bridge_pandas", data_dir=data_dir)):
            agree(ours, theirs)
            bench.compare(6, theirs, ours, "pandas / bridge and cohorts", 3.0, at_least=True)


LINES: Mapping[int, Callable[[Bench], None]] = {
    1: extraction,
    2: build,
    3: nights,
    4: backfill,
    5: growth,
    6: bridge,
}


def _median(measured: Sequence[Measured]) -> float:
    return statistics.median(one.seconds for one in measured)


def _forget_raw(data_dir: Path) -> None:
    shutil.rmtree(data_dir / "raw", ignore_errors=True)


def _land_small_exports(data_dir: Path, day: date) -> None:
    """All exports but the events land on `day` instead of the last one."""
    for path in (data_dir / "landing").glob(f"*/*/{LAST_DAY}*"):
        if path.parent.name != "events":
            path.rename(path.with_name(path.name.replace(str(LAST_DAY), str(day))))


def _snapshot_accounts(data_dir: Path, day: date) -> None:
    """The accounts as of a day, as they were: their newest landing day is what dates the marts."""
    folder = data_dir / "landing" / "crm" / "accounts"
    shutil.copyfile(max(folder.glob("*.csv")), folder / f"{day}.csv")


def _bare_build(bench: Bench, name: str, data_dir: Path) -> Measured:
    """dbt's own build of a data folder, with the variables that the program gives it."""
    os.environ["DATA_DIR"] = str(data_dir)
    settings.current.cache_clear()
    target = str(data_dir / "bare")
    command = [
        *(str(DBT_EXECUTABLE), "--quiet", "build", "--vars", settings.current().dbt_vars),
        *("--project-dir", str(DBT_DIR), "--profiles-dir", str(DBT_DIR)),
        *("--target-path", target, "--log-path", target),
    ]
    return bench.measure(name, command, environment={"DATA_DIR": str(data_dir)}, runs=1)


def _can_read(peer: str, source: str, bench: Bench) -> bool:
    if (peer, source) != ("pandas", "parquet"):
        return True
    is_able = not subprocess.run(
        _peer([sys.executable, "-c", "import pyarrow"]), stderr=subprocess.DEVNULL
    ).returncode
    if not is_able:
        bench.say("  pandas reads Parquet with pyarrow, of the optional extra bench: left out")
    return is_able


def _peer(command: list[str]) -> list[str]:
    """PySpark may live in an environment of its own."""
    return [os.environ.get("PEER_PYTHON") or command[0], *command[1:]]
