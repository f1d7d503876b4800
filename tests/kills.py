"""kill -9 at random moments: of extraction, of publishing, and of the whole program.

    PYTHONPATH=. python tests/kills.py [kills of the program] [seed]      what `make kills` runs

After each kill what analysts open is one whole release or the one before, and each day of raw is
whole or absent. The next run heals: it ends well, what it publishes equals that of a run nobody
killed, no run is left unfinished and no temporary file is left behind. The short form in `make
test` kills extraction and publishing alone, which takes seconds.
"""

import json
import os
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
from dagster_project.core.exports import Column, Export, Rules, read_ledger, stale_days
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import Lake
from dagster_project.core.publish import Release, current_release, publish

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

# What the program has said when a phase begins, and for how long (seconds) it is worth waiting.
PHASES = {
    "start": ("", 8.0),
    "extraction": ("extract\n", 6.0),
    "dbt": ("build_and_publish\n", 30.0),
    "Polars": ("  dbt_models ", 1.0),
    "publishing": ("  dbt_models_2 ", 1.0),
}


class Program:
    """A data folder of two versions of a few tiny exports, and the program on it."""

    def __init__(self, root: Path, random: Random) -> None:
        self.data, self._random = root / "data", random
        self._temporary = root / "tmp"
        self._temporary.mkdir()
        samples.generate(
            self.data / "landing", accounts=5, days=2, events_per_account=5, history_months=4
        )
        self._accounts = next((self.data / "landing" / "crm" / "accounts").glob("*-30.csv"))
        self._lines = self._accounts.read_text().splitlines(keepends=True)
        self.landed = 0
        self._expected: dict[int, object] = {}

    def land(self, version: int) -> None:
        """The accounts, with and without the last of them; an append export is but touched."""
        self.landed = version
        self._accounts.write_text("".join(self._lines[: len(self._lines) - version]))
        for part in (self.data / "landing" / "orders" / "orders").iterdir():
            part.touch()

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

    def kill(self, phase: str) -> str | None:
        """Start it and kill it in a phase; how, or None if it had ended before."""
        sign, longest = PHASES[phase]
        began, child = time.time(), self.start()
        while child.poll() is None and sign not in (self.data / "said").read_text():
            time.sleep(0.01)
        until = time.time() + self._random.uniform(0, longest)
        while child.poll() is None and time.time() < until:
            time.sleep(0.005)
        if child.poll() is not None:
            return None
        # As a person kills a process, or as a machine that stops kills them all.
        is_alone = self._random.random() < 0.5
        os.kill(child.pid, signal.SIGKILL) if is_alone else os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return f"after {time.time() - began:.1f} s, {'alone' if is_alone else 'with its children'}"

    def heal(self, *, is_model: bool = False) -> list[str]:
        """Run it to its end; what should not be. A model is what later ones are held against."""
        child = self.start()
        status = child.wait()
        said = (self.data / "said").read_text()
        wrong = [f"exit status {status}: {said[-1500:]}"] if status else []
        wrong += faults_of_published(self.data / "published") + left_behind(self.data)
        left = [path.name for path in self._temporary.iterdir()]
        wrong += [f"left in the temporary folder: {left[:5]}"] if len(left) > 50 else []
        marts = self._marts()
        if is_model:
            self._expected[self.landed] = marts
        elif not status and marts != self._expected[self.landed]:
            wrong.append("the marts differ from those of a run nobody killed")
        if unfinished := self._unfinished_runs():
            wrong.append(f"runs without an end: {unfinished}")
        return wrong

    def _marts(self) -> object:
        database = self.data / "published" / "marts.duckdb"
        if not database.exists():
            return None
        with duckdb.connect(str(database), read_only=True) as db:
            names = [name for (name,) in db.execute("show tables").fetchall() if name != "release"]
            return {name: db.execute(f"from {name} order by all").fetchall() for name in names}

    def _unfinished_runs(self) -> list[Any]:
        with sqlite3.connect(self.data / ".dagster" / "history" / "runs.db") as db:
            ended = "('SUCCESS', 'FAILURE', 'CANCELED')"
            return db.execute(
                f"select run_id, status from runs where status not in {ended}"
            ).fetchall()


def kill_program(root: Path, kills: int, random: Random, say: Callable[[str], None]) -> list[str]:
    """Kill the program in each phase in turn, and let every second kill be healed."""
    program, wrong, done = Program(root, random), list[str](), Counter[str]()
    # The second time, because what a release closes is in the ledger of closes from then on.
    for version in (0, 1, 0, 1):
        program.land(version)
        wrong += [f"nobody killed it: {sentence}" for sentence in program.heal(is_model=True)]
    phases = list(PHASES)
    while sum(done.values()) < kills:
        phase = phases[sum(done.values()) % len(phases)]
        program.land(1 - program.landed)
        how = program.kill(phase)
        if how is None:
            say(f"{phase}: it had ended")
            continue
        done[phase] += 1
        number = sum(done.values())
        found = faults_of_published(program.data / "published")
        is_healed = number % 2 == 0 or number == kills
        found += program.heal() if is_healed else []
        say(f"kill {number}, {phase}, {how}{', healed' if is_healed else ''}: {found or 'well'}")
        wrong += [f"kill {number} ({phase}): {sentence}" for sentence in found]
    say(f"kills by phase: {json.dumps(done)}")
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
