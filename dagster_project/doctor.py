"""What is wrong with the data folder, in words. It looks, and changes nothing.

Each check has a sentence that holds while all is well, and yields one for each thing that is wrong;
what is worth knowing and no fault is a Note. What is late by today's clock is not asked here: the
sensor exports_late tells that.
"""

import os
import platform
import re
import shutil
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

from dagster_project import settings, state
from dagster_project.core import arrivals, machine
from dagster_project.core.engine import identifier
from dagster_project.core.exports import Export
from dagster_project.core.lake import Lake, spans
from dagster_project.core.ledger import Ledger, days_of, read_ledger
from dagster_project.core.lock import Holder, holder
from dagster_project.core.publish import current_release, unfinished
from dagster_project.core.staleness import altered_days
from dagster_project.settings import CHECKOUT, Settings

SHOWN = ("dagster", "dbt-core", "duckdb", "polars")
JUST_STARTED = 300  # seconds in which a run may not yet hold the lock


class Note(str):
    """Worth knowing, and no fault."""


@dataclass(frozen=True)
class Patient:
    """A data folder as it was when the examination began."""

    settings: Settings
    lake: Lake
    ledger: Ledger
    exports: Mapping[str, Export]
    holder: Holder


Check = Callable[[Patient], Iterator[str]]


def examine(chosen: Settings, say: Callable[[str], object], hashes: bool = False) -> int:
    """Say of every check how it went, and return how many things are wrong.

    `hashes` reads every landing file.
    """
    lake = chosen.lake
    patient = Patient(chosen, lake, read_ledger(lake), chosen.exports, holder(lake.lock))
    say(str(chosen.data_dir))
    wrong = 0
    for well, check in {**CHECKS, **(HASH_CHECKS if hashes else {})}.items():
        found: list[str] = []
        try:
            found.extend(check(patient))
        except Exception as error:
            if not machine.is_of_the_machine(error):
                raise
            found.append(f"Whether this holds cannot be told: {well} {machine.sentence(error)}")
        faults = [sentence for sentence in found if not isinstance(sentence, Note)]
        if not faults:
            say(f"ok     {well}")
        for sentence in found:
            say(f"{'note ' if isinstance(sentence, Note) else 'WRONG'}  {sentence}")
        wrong += len(faults)
    say(
        "Nothing is wrong."
        if not wrong
        else f"{wrong} things are wrong."
        if wrong > 1
        else "1 thing is wrong."
    )
    return wrong


def _versions(_: Patient) -> Iterator[str]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    python = platform.python_version()
    if python not in SpecifierSet(project["requires-python"]):
        yield f"Python is {python}, and the project wants {project['requires-python']}."
    lock = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")
    for name, pinned, marker in re.findall(r"^([\w.-]+)==([^\s;\\]+)( ;)?", lock, re.MULTILINE):
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = "not installed"
        # What is for other machines alone says so by a marker.
        if installed != pinned and not marker:
            yield f"{name} is {installed}, and requirements.lock pins {pinned}: remove .venv."
    yield Note(
        ", ".join([f"python {python}", *(f"{it} {metadata.version(it)}" for it in SHOWN)]) + "."
    )


def _lock(patient: Patient) -> Iterator[str]:
    held, text = patient.holder
    process = re.match(r"process (\d+)", text)
    if held and process and not _runs(int(process[1])):
        yield f"The lock is held, but not by a process of this machine that still runs ({text})."
    elif held:
        yield Note(
            f"Somebody is working, so the rest may be about to change ({text or 'starting'})."
        )
    elif text:
        yield f"The last run was killed ({text}); the next one takes over and heals what it left."


def _runs(process: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    return True


def _dead_runs(patient: Patient) -> Iterator[str]:
    home = patient.settings.dagster_home
    if patient.holder.is_held or not (home / "history" / "runs.db").exists():
        return
    import dagster as dg

    from dagster_project.instance import PROGRAM_TAGS, UNFINISHED

    with dg.DagsterInstance.from_config(str(home)) as instance:
        for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
            run = record.dagster_run
            if time.time() - record.update_timestamp.timestamp() > JUST_STARTED:
                yield (
                    f"Run {run.run_id[:8]} ({run.job_name}) counts as under way, but nobody is"
                    " working: its process is gone;"
                    f" {'make run' if PROGRAM_TAGS.items() <= run.tags.items() else 'make dev'}"
                    " closes it as it starts."
                )
        queued = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
        if queued:
            yield Note(f"{queued} runs wait in the queue for the daemon of make dev.")


def _leftovers(patient: Patient) -> Iterator[str]:
    if patient.holder.is_held:
        return
    lake = patient.lake
    left = [*lake.temporary.glob("*"), *unfinished(lake.published)]
    for path in left:
        yield f"{path.relative_to(lake.root)} was left unfinished; the next run removes it."


def _landing(patient: Patient) -> Iterator[str]:
    lake = patient.lake
    if not lake.root.is_dir():
        yield f"{lake.root} is no folder: nothing has landed in it, and nothing will be found."
        return
    if lake.landings.is_symlink() and not lake.landings.exists():
        yield f"landing leads to {lake.landings.readlink()}, which is not there."
    for name in lake.misplaced_names():
        yield f"landing/{name} lies in no folder landing/system/export, and is never read."
    declared = settings.declared()
    for system, export in lake.landed_exports():
        name = f"{system}/{export}"
        if name not in declared:
            yield f"landing/{name} is no export that a contract declares, and is never read."
        elif name not in patient.exports:
            yield Note(f"landing/{name} belongs to a system that is off.")
        elif why := lake.unreadable(system, export):
            yield f"landing/{name} cannot be read: {why}."
        else:
            for stray in lake.stray_names(system, export):
                yield f"landing/{name}/{stray} is nothing of a landing day, and is never read."
    for name, days in state.new_days(patient.settings, only_looks=True).items():
        yield Note(f"{name}: landed, and to be extracted by the next run: {spans(days)}.")


def _days(patient: Patient) -> Iterator[str]:
    today = state.today(patient.settings)
    for name, export in patient.exports.items():
        review = arrivals.review(export.system, export.name, patient.ledger, today)
        found = {finding.name: finding.against for finding in review}
        if missing := found["no_missing_days"]:
            said = f"{name} has not landed for {spans(missing)}."
            # One that by its contract comes more rarely has days between: lateness is told of it.
            yield Note(said) if (export.late_after_hours or 0) >= 48 else said
        for day, sums in found["rows_add_up"].items():
            yield f"{name} {day}: rows do not add up: {sums}."
        known = days_of(patient.ledger, export.system, export.name).values()
        in_raw = [day.newest_ok for day in known if day.newest_ok]
        if refused := found["no_rejects"]:
            rows = sum(line.rows_rejected for line in in_raw)
            yield Note(
                f"{name}: {rows:,} rows of {len(refused)} days were refused; see rejects/{name}/."
            )
        if columns := sorted({column for line in in_raw for column in line.drift}):
            yield Note(
                f"{name}: has columns that the contract does not know: {', '.join(columns)}."
            )


def _stale(patient: Patient) -> Iterator[str]:
    if sentence := state.as_of_to_come(patient.settings):
        yield sentence
    for export in state.stale_exports(patient.settings):
        yield export.sentence


def _warehouse(patient: Patient) -> Iterator[str]:
    if patient.holder.is_held or not patient.lake.warehouse.exists():
        return
    from dagster_project.core import warehouse

    found = warehouse.damage(patient.lake.warehouse, patient.settings.engine, read_only=True)
    if found:
        yield f"warehouse.duckdb cannot be opened; the next run builds it anew: {found}"


def _raw(patient: Patient) -> Iterator[str]:
    for name, days in state.lost_days(patient.settings).items():
        yield (
            f"{name}: raw has lost {spans(days)}, so nothing is published: the next run extracts it"
            " again if its files are in landing."
        )


def _release(patient: Patient) -> Iterator[str]:
    published = patient.lake.published
    release = current_release(published)
    if not release and (published / "current" / "release.json").exists():
        yield "published/current/release.json cannot be read; the next run publishes anew."
        return
    if not release:
        is_due = any(day.newest_ok for day in patient.ledger.values())
        yield "Nothing is published." if is_due else Note("Nothing is published yet.")
        return
    yield Note(f"Release {release['release_id']}, as of {release['as_of_date']}.")
    yield from _parts(published)
    raw = state.raw_state(patient.settings)
    if release["raw_state"] != raw:
        yield "What is published is older than what is in raw; the next run builds it."
    elif release["fingerprint"] != state.fingerprint(state.code_state(patient.settings), raw):
        yield Note(
            "What is published was built by other code or policies; make run builds it anew."
        )


def _parts(published: Path) -> Iterator[str]:
    """Sentences on marts that the release counts and does not hold."""
    import duckdb

    try:
        with duckdb.connect(str(published / "marts.duckdb"), read_only=True) as db:
            for mart, rows in db.execute(
                "select mart, rows from mart_status order by 1"
            ).fetchall():
                file = str(published / "parquet" / f"{mart}.parquet")
                for what, source in (
                    ("marts.duckdb", identifier(mart)),
                    ("parquet/", "read_parquet(?)"),
                ):
                    try:
                        given = [file] if what == "parquet/" else []
                        [(found,)] = db.execute(f"select count(*) from {source}", given).fetchall()
                    except duckdb.Error:
                        found = "no"
                    if found != rows:
                        yield f"published/{what}: {mart} has {found} rows instead of {rows}."
    except duckdb.Error as error:
        yield f"published/marts.duckdb cannot be read: {str(error).splitlines()[0]}"


def _disk(patient: Patient) -> Iterator[str]:
    lake = patient.lake
    if not lake.root.exists():
        return
    free = shutil.disk_usage(lake.root).free
    # A build writes the tables of the warehouse anew beside the old ones, and then a release.
    release = sum(file.stat().st_size for file in (lake.published / "current").rglob("*"))
    needed = release + (lake.warehouse.stat().st_size if lake.warehouse.exists() else 0)
    said = f"{free / 1e9:,.1f} GB are free, and a build may need {needed / 1e9:,.1f} GB"
    yield f"The disk is almost full: {said}." if free < needed else Note(f"{said}.")


def _bytes(patient: Patient) -> Iterator[str]:
    for name, export in patient.exports.items():
        if patient.lake.unreadable(export.system, export.name):
            continue
        if days := altered_days(export, patient.lake, patient.ledger):
            yield (
                f"{name}: the files of {spans(days)} are not those that were extracted,"
                " though their size, time and inode are; touch them, and the next run reads them"
                " again."
            )


CHECKS: Mapping[str, Check] = {
    "Versions are as pinned.": _versions,
    "No run was killed.": _lock,
    "No run counts as under way that is not.": _dead_runs,
    "Nothing was left unfinished.": _leftovers,
    "All that lies in landing can be read.": _landing,
    "Every day since the first has landed, and its rows add up.": _days,
    "No export is stale, and the as-of day has come.": _stale,
    "The warehouse can be opened.": _warehouse,
    "Raw holds what the marts need.": _raw,
    "The published release is whole, and no older than raw.": _release,
    "There is room on the disk.": _disk,
}
HASH_CHECKS: Mapping[str, Check] = {
    "Every landing file is, byte for byte, what was extracted.": _bytes,
}
