"""One night in this process: job extract, then job build_and_publish, told as they go.

Dagster records both runs in its instance as it does those of the daemon; what it and dbt print goes
to a log file. What the jobs do is declared in defs/ and computed in core/ and dbt/.
"""

import logging
import os
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TextIO

import dagster as dg
import duckdb
from dagster import DagsterEventType as Kind
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from dagster_project import housekeeping, manifest, state
from dagster_project.core import machine
from dagster_project.core.lake import spans
from dagster_project.core.ledger import unquoted
from dagster_project.core.publish import current_release
from dagster_project.instance import PROGRAM_TAGS, close_dead_runs, prepare_home
from dagster_project.notices import Notice, innermost_error, notify, of_failed_run, step_name
from dagster_project.settings import Settings

COUNTS = ("rows_in", "rows_accepted", "rows_rejected", "rows_superseded")
ROWS_SHOWN = 5


@dataclass(frozen=True)
class Backfill:
    """Landing days, first and last included, and the exports whose days are extracted again."""

    first: date
    last: date
    exports: Sequence[str]

    @property
    def tags(self) -> dict[str, str]:
        """What makes a run one of chosen partitions, as the UI's backfills do."""
        return {
            ASSET_PARTITION_RANGE_START_TAG: str(self.first),
            ASSET_PARTITION_RANGE_END_TAG: str(self.last),
        }


def run(settings: Settings, backfill: Backfill | None = None) -> list[str] | None:
    """Extract what is new, or what is chosen; build, check and publish.

    Returns a sentence on each step that failed, and on the run if it broke off; None if nothing was
    published.

    The caller holds the lock on DATA_DIR. An export that fails stops no other, and not the build.
    """
    prepare_home(settings)
    log = settings.dagster_home / "run.log"
    with _chatter_to(log) as terminal:
        report = Report(terminal)
        report.say(f"Working on {settings.data_dir} (details: {log})")
        manifest.load(settings)
        # Here and not above: the declarations read the manifest when they are imported.
        from dagster_project.definitions import definitions

        declared = definitions()
        # Only exports with something new: each step costs about half a second in events alone.
        exports = backfill.exports if backfill else state.new_days(settings)
        keys = [dg.AssetKey(export.split("/")) for export in exports]
        jobs = {"extract": keys, "build_and_publish": None} if keys else {"build_and_publish": None}
        before = current_release(settings.lake.published)
        try:
            with dg.DagsterInstance.get() as instance:
                close_dead_runs(instance, PROGRAM_TAGS)
                try:
                    for job, selection in jobs.items():
                        run_id = str(uuid.uuid4())
                        instance.add_event_listener(run_id, report.hear)
                        report.say(f"\n{job}")
                        tags = backfill.tags if backfill and selection else {}
                        declared.resolve_job_def(job).execute_in_process(
                            asset_selection=selection,
                            instance=instance,
                            run_id=run_id,
                            tags={**PROGRAM_TAGS, **tags},
                            raise_on_error=False,
                        )
                finally:
                    # A step may fail after the switch as well.
                    report.is_published = current_release(settings.lake.published) != before
                if report.is_published and (dropped := housekeeping.tidy(settings, instance)):
                    report.say(f"\nDropped as too old: {dropped}")
        except Exception as error:
            # Dagster raises where it cannot keep its own records, as on a full disk.
            if not machine.is_of_the_machine(error):
                raise
            with suppress(OSError):
                traceback.print_exc()
            report.broken_off = machine.sentence(error)
            report.say(f"Broken off: {report.broken_off}")
        report.sum_up(settings)
        for notice in report.notices(settings):
            notify(notice, settings.notify_webhook, logging.getLogger(__name__).warning)
    return report.what_broke_off(settings) if report.is_published else None


class Report:
    """Hears the events of both runs; says what happened, step by step and at the end."""

    def __init__(self, terminal: TextIO) -> None:
        self.is_published = False
        self.broken_off = ""
        self._terminal = terminal
        self._failures: list[dg.DagsterEvent] = []
        # Counts by export and day, of which a step that is tried again tells twice.
        self._extracted: dict[str, dict[str, Counter[str]]] = {}
        self._tables: set[str] = set()
        # By asset and name, because a step that is tried again tells them twice as well.
        self._checks: dict[dg.AssetCheckKey, dg.AssetCheckEvaluation] = {}
        self._begun: set[str] = set()
        self._step_began = (time.monotonic(), 0, 0)

    def say(self, line: str = "") -> None:
        print(line, file=self._terminal, flush=True)

    def hear(self, entry: dg.EventLogEntry) -> None:
        """Take in one event of a run."""
        event = entry.dagster_event
        # Of steps that never begin, Dagster lists all that they depend on.
        if event is None and entry.step_key in self._begun and int(entry.level) >= logging.WARNING:
            self.say(f"  {step_name(entry.step_key):<32} {entry.user_message}")
        if event is None or event.step_key is None:
            return
        if event.event_type == Kind.STEP_START:
            self._begun.add(event.step_key)
            self._step_began = (time.monotonic(), len(self._tables), len(self._checks))
        elif event.event_type == Kind.ASSET_MATERIALIZATION:
            self._materialized(event.step_materialization_data.materialization)
        elif event.event_type == Kind.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            self._checks[check.asset_check_key] = check
        elif event.event_type in (Kind.STEP_SUCCESS, Kind.STEP_FAILURE):
            self._step_ended(event)

    def _materialized(self, materialization: dg.AssetMaterialization) -> None:
        key = materialization.asset_key.to_user_string()
        if materialization.partition is None:
            self._tables.add(key)
        else:
            counts = Counter({count: _number(materialization, count) for count in COUNTS})
            self._extracted.setdefault(key, {})[materialization.partition] = counts

    def _step_ended(self, event: dg.DagsterEvent) -> None:
        began, tables, checks = self._step_began
        name = step_name(event.step_key)
        if days := self._extracted.get(name):
            sums = sum(days.values(), Counter())
            done = f"{len(days)} days, {sums['rows_accepted']:,} of {sums['rows_in']:,} rows"
        elif len(self._tables) > tables:
            done = f"{len(self._tables) - tables} tables, {len(self._checks) - checks} checks"
        else:
            done = ""
        if done:
            self.say(f"  {name:<32} {done} ({time.monotonic() - began:.1f} s)")
        if event.event_type == Kind.STEP_FAILURE:
            self._failures.append(event)
            self.say(f"  {name:<32} FAILED: {_sentence(event)}")

    def notices(self, settings: Settings) -> list[Notice]:
        """What somebody who does not look should be told."""
        if not self.is_published:
            return [of_failed_run("make run", self._failures, unquoted(self.broken_off))]
        stale = state.stale_exports(settings)
        told = [Notice("stale_export", export.name, export.notice) for export in stale]
        others = self._failed_beside(stale)
        if others or self.broken_off:
            is_extraction = all(step_name(it.step_key) in settings.exports for it in others)
            job = "extract" if is_extraction and not self.broken_off else "make run"
            told.append(of_failed_run(job, others, unquoted(self.broken_off)))
        return told

    def what_broke_off(self, settings: Settings) -> list[str]:
        """A sentence on each step that failed and left no export stale, and on a run that did."""
        failed = self._failed_beside(state.stale_exports(settings))
        said = [
            f"{step_name(it.step_key)} failed: {_sentence(it).partition(chr(10))[0]}"
            for it in failed
        ]
        return [f"The run broke off: {self.broken_off}", *said] if self.broken_off else said

    def _failed_beside(self, stale: Sequence[state.StaleExport]) -> list[dg.DagsterEvent]:
        names = {export.name for export in stale}
        return [it for it in self._failures if step_name(it.step_key) not in names]

    def sum_up(self, settings: Settings) -> None:
        """A table of what was extracted, what was built and checked, rows behind failed checks."""
        if self._extracted:
            heads = "".join(f"{count:>17}" for count in COUNTS)
            self.say(f"\n{'export':<28}{heads}   days")
            for export, days in sorted(self._extracted.items()):
                sums = sum(days.values(), Counter())
                numbers = "".join(f"{sums[count]:>17,}" for count in COUNTS)
                self.say(f"{export:<28}{numbers}   {spans(map(date.fromisoformat, days))}")
        ended = Counter(map(_how_it_ended, self._checks.values()))
        broken = f", {ended['broken']} broke off" if ended["broken"] else ""
        self.say(
            f"\n{len(self._tables)} tables built; {ended['passed']} checks passed,"
            f" {ended['warned']} warned, {ended['failed']} failed{broken}."
        )
        for check in self._checks.values():
            if _how_it_ended(check) == "failed":
                self.say(f"Check {check.check_name} failed on {check.asset_key.to_user_string()}:")
                for row in _rows_behind(check.check_name, settings):
                    self.say(f"  {row}")
        if self.is_published:
            self.say(f"Published: {settings.lake.published / 'marts.duckdb'}")
        else:
            self.say("Nothing was published; what was published before is untouched.")


def _how_it_ended(check: dg.AssetCheckEvaluation) -> str:
    """passed, warned, failed, or broken: that says nothing of the data."""
    if check.passed:
        return "passed"
    if check.severity == dg.AssetCheckSeverity.WARN:
        return "warned"
    status = check.metadata.get("status")
    return "broken" if status and status.value == "error" else "failed"


def _number(materialization: dg.AssetMaterialization, name: str) -> int:
    return int(str(materialization.metadata[name].value))


def _sentence(event: dg.DagsterEvent) -> str:
    """Why a step failed: what it said of itself, or else the exception at the bottom."""
    failure = event.step_failure_data
    error = innermost_error(failure)
    said = failure.user_failure_data.description if failure.user_failure_data else None
    sentence = said or (error.message if error else "")
    return sentence.removeprefix("dagster_project.dbt_runner.DbtError: ").strip()


def _rows_behind(check: str, settings: Settings) -> list[str]:
    """A few of the rows that a failed dbt test finds, by the query that dbt ran."""
    loaded = manifest.load(settings)
    tests, personal = manifest.nodes(loaded, "test"), manifest.personal_columns(loaded)
    path = next((Path(test["path"]).name for test in tests if test["name"] == check), "")
    query = next(manifest.target_dir(settings).glob(f"compiled/**/{path}"), None)
    if not path or not query:
        return []
    try:
        with duckdb.connect(
            str(settings.lake.warehouse), read_only=True, config={**settings.engine}
        ) as db:
            found = db.execute(f"from ({query.read_text()}) limit {ROWS_SHOWN}")
            names = [column[0] for column in found.description or ()]
            return [
                ", ".join(
                    f"{name}={'(personal)' if name in personal else value}"
                    for name, value in zip(names, row, strict=True)
                    if value is not None
                )
                for row in found.fetchall()
            ]
    except duckdb.Error:
        # A test that could not run finds no rows; the step has said why.
        return []


@contextmanager
def _chatter_to(log: Path) -> Iterator[TextIO]:
    """Send what this process and its children print to `log`; the terminal is what is yielded."""
    saved = os.dup(1), os.dup(2)
    with log.open("w") as file, os.fdopen(os.dup(1), "w") as terminal:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield terminal
        finally:
            for descriptor, original in enumerate(saved, start=1):
                os.dup2(original, descriptor)
                os.close(original)
