"""kill -9 at random moments: of extraction, of publishing, and of the whole program.

    PYTHONPATH=. python tests/kills.py [kills of the program] [seed]      what `make kills` runs

After each kill what analysts open is one whole release or the one before, and each day of raw is
whole or absent. The next run heals: it ends well, what it publishes equals that of a run nobody
killed, no run is left unfinished and no temporary file is left behind. The short form in `make
test` kills extraction and publishing alone, which takes seconds.
"""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import polars as pl
import readers
from program import CHECKOUT, ENVIRONMENT

from dagster_project.core import samples
from dagster_project.core.exports import Column, Export
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import Lake
from dagster_project.core.ledger import read_ledger
from dagster_project.core.publish import Release, current_release, publish
from dagster_project.core.staleness import Rules, stale_days

RULES = Rules(first_day=date(2020, 1, 1), max_reject_share=0.5)
EXPORT = Export("crm", "things", "append", ("id",), (Column("id", "text"), Column("n", "bigint")))
DAYS = [date(2024, 1, 1) + timedelta(day) for day in range(4)]
ROWS = 3000

# --- What is killed, each endless by itself ------------------------------------------------------


def extract_for_ever(root: Path) -> None:
    """Land the days in one of two versions, one after the other, and extract them."""
    lake, version = Lake(root), 0
    while True:
        version += 1
        with Extractor(lake, RULES) as extractor:
            extractor.ensure_empty(EXPORT)
            for day in DAYS:
                _deliver(lake, day, version)
                extractor.extract_day(EXPORT, day)
                print(version, day, flush=True)


def _deliver(lake: Lake, day: date, version: int) -> None:
    """`ROWS` good rows that name their version, and a bad one of each second version."""
    rows = "".join(f"{i},{version}\n" for i in range(ROWS)) + "bad,x\n" * (version % 2)
    target = lake.landing(EXPORT.system, EXPORT.name) / f"{day}.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_suffix(".csv.tmp")
    aside.write_text(f"id,n\n{rows}")
    aside.replace(target)


def publish_for_ever(root: Path) -> None:
    """Publish release after release of a warehouse that says which one it is."""
    number = len(list((root / "published" / "releases").glob("*")))
    while True:
        number += 1
        (root / "warehouse.duckdb").unlink(missing_ok=True)
        with duckdb.connect(str(root / "warehouse.duckdb")) as db:
            db.execute("create schema marts")
            for mart in ("a", "b", "c"):
                db.execute(f"create table marts.mart_{mart} as select {number} as n from range(99)")
        release = Release(f"{time.time_ns()}", DAYS[0], str(number), "raw")
        publish(root / "warehouse.duckdb", root / "published", release, keep=3)
        print(number, flush=True)


ENDLESS = {"extraction": extract_for_ever, "publishing": publish_for_ever}

# --- What must hold whenever somebody looks ------------------------------------------------------


def faults_of_raw(lake: Lake) -> list[str]:
    """Days that are there in part."""
    wrong = []
    for path in lake.raw(EXPORT.system, EXPORT.name).glob("date=*/*"):
        try:
            versions = pl.read_parquet(path)["n"].to_list()
        except Exception as error:
            wrong.append(f"{path}: {error}")
            continue
        if len(versions) != ROWS or len(set(versions)) != 1:
            wrong.append(f"{path}: {len(versions)} rows of {len(set(versions))} versions")
    return wrong


def faults_of_published(published: Path) -> list[str]:
    """What is wrong with what analysts open: a mix, a half, or nothing where something was."""
    facts = current_release(published)
    if not facts:
        is_open = (published / "marts.duckdb").exists() or (published / "parquet").exists()
        return ["something can be opened although nothing was published"] if is_open else []
    try:
        with duckdb.connect(str(published / "marts.duckdb"), read_only=True) as db:
            tables = {name for (name,) in db.execute("show tables").fetchall()}
            inside = db.execute("select release_id, fingerprint from release").fetchall()
            contents = {name: db.execute(f"from {name}").fetchall() for name in tables}
            files = {path.stem: path for path in (published / "parquet").resolve().iterdir()}
            outside = {n: db.execute(f"from '{path}'").fetchall() for n, path in files.items()}
    except (duckdb.Error, OSError) as error:
        return [f"{type(error).__name__}: {error}"]
    wrong = []
    if inside != [(facts["release_id"], facts["fingerprint"])]:
        wrong.append(f"marts.duckdb is of {inside}, release.json of {facts}")
    if contents != outside:
        names = sorted(tables | files.keys())
        differing = [name for name in names if contents.get(name) != outside.get(name)]
        wrong.append(f"Parquet and marts.duckdb differ in {differing}")
    return wrong


def left_behind(root: Path) -> list[str]:
    """Temporary files, once a run has ended well."""
    unfinished = [*root.rglob("*.partial"), *(root / ".tmp").rglob("*")]
    return [f"left behind: {path.relative_to(root)}" for path in unfinished]


# --- Killing -------------------------------------------------------------------------------------


def kill_endless(name: str, root: Path, kills: int, random: Random) -> list[str]:
    """Kill one of ENDLESS so many times at random moments; what should not have been."""
    wrong = []
    for number in range(kills):
        child = subprocess.Popen(
            [sys.executable, __file__, "--endless", name, str(root)],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert child.stdout is not None
        # The imports are not of interest.
        started = child.stdout.readline()
        time.sleep(random.uniform(0, 0.4))
        child.kill()
        _, said = child.communicate()
        if not started or child.returncode != -signal.SIGKILL:
            wrong.append(f"kill {number}: it ended by itself: {said.decode()[-300:]}")
        found = faults_of_raw(Lake(root)) + faults_of_published(root / "published")
        wrong += [f"kill {number}: {sentence}" for sentence in found]
    return wrong


def heal_extraction(root: Path) -> list[str]:
    lake = Lake(root)
    lake.sweep()
    with Extractor(lake, RULES) as extractor:
        for day in stale_days(EXPORT, lake, read_ledger(lake), RULES):
            extractor.extract_day(EXPORT, day)
    wrong = faults_of_raw(lake) + left_behind(root)
    for day in DAYS:
        file = lake.landing(EXPORT.system, EXPORT.name) / f"{day}.csv"
        landed = pl.read_csv(file, infer_schema=False)
        raw = pl.read_parquet(lake.raw_day(EXPORT.system, EXPORT.name, day))
        if str(landed["n"][0]) != str(raw["n"][0]):
            wrong.append(f"{day} is not what landed")
        has_rejects = lake.rejects_day(EXPORT.system, EXPORT.name, day).exists()
        if has_rejects != (len(landed) > ROWS):
            wrong.append(f"{day}: rejects do not belong to what landed")
    return wrong


def heal_publishing(root: Path) -> list[str]:
    release = Release(f"{time.time_ns()}", DAYS[0], "healed", "raw")
    (root / "warehouse.duckdb").unlink(missing_ok=True)
    with duckdb.connect(str(root / "warehouse.duckdb")) as db:
        db.execute("create schema marts; create table marts.mart_a as select 1 as n")
    publish(root / "warehouse.duckdb", root / "published", release, keep=3)
    wrong = faults_of_published(root / "published") + left_behind(root)
    if current_release(root / "published").get("fingerprint") != "healed":
        wrong.append("the healing release is not the current one")
    if len(kept := [*(root / "published" / "releases").iterdir()]) > 3:
        wrong.append(f"{len(kept)} releases are kept")
    return wrong


# --- The whole program ---------------------------------------------------------------------------

# What the program has said when a phase begins, and how many of 50 kills are meant for it: more for
# the phases that last, and the later ones cost a whole build each.
PHASES = {
    "start": ("", 8),
    "extraction": ("extract\n", 20),
    "dbt": ("build_and_publish\n", 12),
    "Polars": ("  dbt_models ", 3),
    "dbt after Polars": ("  survey_scores ", 3),
    "publishing": ("  dbt_models_2 ", 4),
    "afterwards": ("\nPublished: ", 0),
}
KILLS_PER_HEALING = 10
# Of a run and of a release, which are new each time, and what is named at random or in turn.
RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]{8}T[0-9]{6}Z")
UNNAMED = (".dagster/storage/", ".dagster/dbt/target/dbt.log")

Marts = dict[str, list[tuple[Any, ...]]]


class Program:
    """A data folder in which one of two small worlds lands, every export of it, and the program."""

    def __init__(self, root: Path, random: Random) -> None:
        self.data, self._random = root / "data", random
        self._temporary, self._worlds = root / "tmp", root / "worlds"
        self._temporary.mkdir()
        self.data.mkdir()
        for version in (0, 1):
            samples.generate(
                self._worlds / str(version),
                accounts=5,
                days=2,
                events_per_account=5,
                history_months=4,
                seed=version,
            )
        self.landed = 0
        self._marts: dict[int, Marts] = {}
        self._raw_days: dict[Path, list[object]] = {}
        self._paths: set[str] = set()
        self._lasts = dict.fromkeys(PHASES, 0.0)

    def land(self, version: int) -> None:
        """Replace all that has landed by one of the worlds."""
        self.landed = version
        shutil.rmtree(self.data / "landing", ignore_errors=True)
        shutil.copytree(self._worlds / str(version), self.data / "landing")

    def start(self) -> subprocess.Popen[bytes]:
        environment = {k: v for k, v in os.environ.items() if k not in ("SYSTEMS", "VARS")}
        return subprocess.Popen(
            [sys.executable, "-m", "dagster_project", "run"],
            cwd=CHECKOUT,
            env=environment | {"DATA_DIR": str(self.data), "TMPDIR": str(self._temporary)},
            stdout=(self.data / "said").open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def model(self) -> list[str]:
        """Run it to its end, to hold later runs against it; what should not be."""
        child, began = self.start(), dict[str, float]()
        while child.poll() is None:
            began.setdefault(self._phase(), time.time())
            time.sleep(0.02)
        ended = [*list(began.values())[1:], time.time()]
        self._lasts |= {
            phase: end - start for (phase, start), end in zip(began.items(), ended, strict=True)
        }
        self._marts[self.landed] = self._published()
        for path, rows in self._raw().items():
            self._raw_days.setdefault(path, []).append(rows)
        self._paths |= self._named()
        return self._unwell(child.returncode)

    def kill(self, phase: str) -> tuple[str, str] | int:
        """Start it and kill it at a random moment of a phase: the phase that was hit, and how.

        Its exit status if it ended before, as it does where nothing is new after all.
        """
        began, child = time.time(), self.start()
        until, order = None, [*PHASES]
        while child.poll() is None and (until is None or time.time() < until):
            # Or later: what had been extracted before an earlier kill may be what has landed again.
            if until is None and order.index(self._phase()) >= order.index(phase):
                until = time.time() + self._random.uniform(0, self._lasts[phase])
            time.sleep(0.005)
        if (status := child.poll()) is not None:
            return status
        # As a machine that stops kills them all, or as a person kills a process.
        is_alone = self._random.random() < 0.3
        os.kill(child.pid, signal.SIGKILL) if is_alone else os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        how = "alone" if is_alone else "with its children"
        return self._phase(), f"after {time.time() - began:.1f} s, {how}"

    def faults(self) -> list[str]:
        """What must not be after a kill: a release or a day of raw that is not one of the whole."""
        wrong = faults_of_published(self.data / "published")
        if self._published() not in self._marts.values():
            wrong.append("what is published is neither world's")
        for path, rows in self._raw().items():
            if rows not in self._raw_days.get(path, []):
                wrong.append(f"{path} is neither world's: {str(rows)[:200]}")
        return wrong

    def heal(self) -> list[str]:
        """Run it to its end; what is not as after the run that nobody killed."""
        return self.ended(self.start().wait())

    def ended(self, status: int) -> list[str]:
        """What is not as after the run that nobody killed."""
        wrong = self._unwell(status)
        marts = self._published()
        differing = [
            name for name, rows in self._marts[self.landed].items() if marts.get(name) != rows
        ]
        if differing:
            wrong.append(f"not as in a run that nobody killed: {differing}")
        if left := self._named() - self._paths:
            wrong.append(f"left behind: {sorted(left)[:5]}")
        return wrong

    def _unwell(self, status: int) -> list[str]:
        """What is wrong after any run that ended by itself."""
        wrong = [f"exit status {status}: {self._said()[-1500:]}"] if status else []
        wrong += faults_of_published(self.data / "published") + left_behind(self.data)
        wrong += [f"left in the temporary folder: {p.name}" for p in self._temporary.iterdir()]
        with sqlite3.connect(self.data / ".dagster" / "history" / "runs.db") as db:
            ended = "('SUCCESS', 'FAILURE', 'CANCELED')"
            unfinished = db.execute(f"select run_id from runs where status not in {ended}")
            wrong += [f"a run without an end: {run_id}" for (run_id,) in unfinished]
        return wrong

    def _said(self) -> str:
        return (self.data / "said").read_text()

    def _phase(self) -> str:
        said = self._said()
        return [phase for phase, (sign, _) in PHASES.items() if sign in said][-1]

    def _published(self) -> Marts:
        database = self.data / "published" / "marts.duckdb"
        if not database.exists():
            return {}
        with duckdb.connect(str(database), read_only=True) as db:
            names = [name for (name,) in db.execute("show tables").fetchall() if name != "release"]
            return {name: db.execute(f"from {name} order by all").fetchall() for name in names}

    def _raw(self) -> dict[Path, object]:
        """The rows of every raw day, or why it cannot be read."""
        found: dict[Path, object] = {}
        for path in sorted((self.data / "raw").glob("*/*/date=*/*")):
            try:
                found[path.relative_to(self.data)] = sorted(map(repr, pl.read_parquet(path).rows()))
            except Exception as error:
                found[path.relative_to(self.data)] = str(error)
        return found

    def _named(self) -> set[str]:
        """Every file but of landing, by a name that is the same in every run."""
        files = [path for path in self.data.rglob("*") if not path.is_dir()]
        names = (str(path.relative_to(self.data)) for path in files)
        return {RUN.sub("*", n) for n in names if not n.startswith(("landing/", *UNNAMED))}


def kill_program(root: Path, kills: int, random: Random, say: Callable[[str], None]) -> list[str]:
    """A chain: a world lands, the program is killed, the other lands, and every few kills one run
    is let go to its end, which has to make everything good."""
    program, wrong = Program(root, random), list[str]()
    hit, faulty = Counter[str](), Counter[str]()
    # The second time, because what a release closes is in the ledger of closes from then on.
    for version in (0, 1, 0, 1):
        program.land(version)
        wrong += [f"nobody killed it: {sentence}" for sentence in program.model()]
    say(f"seconds in each phase: { {p: round(t, 1) for p, t in program._lasts.items()} }")
    plan = [phase for phase, (_, of_50) in PHASES.items() for _ in range(of_50)]
    plan *= kills // len(plan) + 1
    random.shuffle(plan)
    while hit.total() < kills:
        program.land(1 - program.landed)
        killed = program.kill(plan[hit.total()])
        if isinstance(killed, int):
            found = program.ended(killed)
            say(f"it had ended before a kill in {plan[hit.total()]}: {found or 'well'}")
            wrong += found
            continue
        phase, how = killed
        hit[phase] += 1
        found = program.faults()
        is_healed = hit.total() % KILLS_PER_HEALING == 0 or hit.total() == kills
        found += program.heal() if is_healed else []
        faulty[phase] += bool(found)
        healed = ", healed" if is_healed else ""
        say(f"kill {hit.total()} in {phase}, {how}{healed}: {found or 'well'}")
        wrong += [f"kill {hit.total()} ({phase}): {sentence}" for sentence in found]
    say(f"{'killed in':<20}{'kills':>7}{'with faults':>13}")
    for phase in PHASES:
        say(f"{phase:<20}{hit[phase]:>7}{faulty[phase]:>13}")
    return wrong


def main(kills: int, seed: int) -> int:
    random, wrong = Random(seed), list[str]()
    root = Path(tempfile.mkdtemp(prefix="kills-"))
    for name, heal in (("extraction", heal_extraction), ("publishing", heal_publishing)):
        (root / name).mkdir()
        found = []
        for _ in range(max(kills // 5, 1)):
            found += kill_endless(name, root / name, 5, random) + heal(root / name)
        print(f"{name} alone: {max(kills // 5, 1) * 5} kills, {len(found)} findings", flush=True)
        wrong += found
    (root / "readers").mkdir()
    report = readers.trial(root / "readers", processes=5, readers=10, publishes=20)
    print(f"50 readers, 20 publishes: {json.dumps(report)}", flush=True)
    wrong += report["wrong"]
    (root / "program").mkdir()
    wrong += kill_program(root / "program", kills, random, lambda line: print(line, flush=True))
    print(f"{len(wrong)} findings" + "".join(f"\n  {sentence}" for sentence in wrong))
    if not wrong:
        shutil.rmtree(root)
    return int(bool(wrong))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--endless"]:
        ENDLESS[sys.argv[2]](Path(sys.argv[3]))
    sys.exit(main(*map(int, [*sys.argv[1:], *["100", "0"][len(sys.argv) - 1 :]])))
