"""The raw exports: one daily-partitioned asset per export that the dbt sources declare.

A run without chosen partitions extracts the days that are new or changed; a run with chosen ones (a
backfill, a click in the UI) extracts exactly those again. Days whose files are still being written
are left out of both.
"""

from collections.abc import Iterator, Sequence
from datetime import date

import dagster as dg
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.instance import RUNLESS_RUN_ID

from dagster_project import freshness, settings, state
from dagster_project.core import arrivals, settling
from dagster_project.core.exports import Export
from dagster_project.core.extraction import Extractor, GoneError
from dagster_project.core.lake import spans
from dagster_project.core.ledger import Extraction, Ledger, days_of, read_ledger
from dagster_project.core.staleness import stale_days
from dagster_project.notices import UNQUOTED
from dagster_project.partitions import landing_days
from dagster_project.retries import passing_faults

_settings = settings.current()
_lake = _settings.lake
_rules = state.rules(_settings)


def raw_export(export: Export) -> dg.AssetsDefinition:
    key = dg.AssetKey([export.system, export.name])

    @dg.asset(
        key=key,
        description=f"{export.kind}; one row per {', '.join(export.key)} and landing day.",
        metadata={"dagster/column_schema": _schema(export)},
        group_name=f"raw/{export.system}",
        tags={"layer": "raw"},
        kinds={"parquet"},
        freshness_policy=freshness.of_export(export),
        partitions_def=landing_days,
        backfill_policy=dg.BackfillPolicy.single_run(),
        # Materializations are yielded day by day: an output would turn every chosen day green, also
        # one that never landed.
        output_required=False,
        check_specs=[
            dg.AssetCheckSpec(name, asset=key, description=question)
            for name, question in arrivals.QUESTIONS.items()
        ],
        required_resource_keys={"lock"},
    )
    def extracted(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.AssetMaterialization | dg.AssetCheckResult]:
        failed: list[Extraction] = []
        broken_off: dict[date, Exception] = {}
        with passing_faults(context):
            with Extractor(_lake, _rules, _settings.memory_limit) as extractor:
                extractor.ensure_empty(export)
                days, broke_off_before = _days(context, export)
                for day in days:
                    try:
                        attempt = extractor.extract_day(export, day)
                    except GoneError:
                        _leave(context, [day], "gone since it was listed")
                    except Exception as error:
                        # The days behind it may be well; where a second one breaks off, nothing is.
                        broken_off[day] = error
                        if len(broken_off.keys() - broke_off_before) > 1:
                            break
                    else:
                        if attempt.is_ok:
                            yield _materialization(key, attempt)
                        else:
                            failed.append(attempt)
            for finding in arrivals.review(
                export.system, export.name, read_ledger(_lake), state.today(_settings)
            ):
                yield _check_result(finding)
            _turn_red(context, [*(attempt.landing_date for attempt in failed), *broken_off])
            if broken_off:
                raise next(iter(broken_off.values()))
        if failed:
            raise dg.Failure(
                " ".join(f"{attempt.landing_date}: {attempt.error}" for attempt in failed),
                metadata={UNQUOTED: "; ".join(f"{it.landing_date}: {it.notice}" for it in failed)},
                allow_retries=False,
            )

    return extracted


def _days(context: dg.AssetExecutionContext, export: Export) -> tuple[Sequence[date], set[date]]:
    """The days to extract in their order, and those of which the newest attempt broke off."""
    is_chosen = context.has_partition_key or context.has_partition_key_range
    ledger = read_ledger(_lake)
    wanted = _chosen(context, export) if is_chosen else _new(context, export, ledger)
    # Those that broke off last, so that they hold up no other, however often.
    known = days_of(ledger, export.system, export.name).items()
    broke_off = {day for day, state in known if state.newest.has_broken_off}
    days = sorted(wanted, key=lambda day: (day in broke_off, day))
    settled = settling.settled(export, _lake, days, _settings.integer("settle_seconds"))
    if moving := [day for day in days if day not in settled]:
        _leave(context, moving, "being written still")
    return settled, broke_off


def _new(context: dg.AssetExecutionContext, export: Export, ledger: Ledger) -> set[date]:
    """The days that are new or changed. Where the step is tried again, those too that failed before
    it broke off: they are new no more, and have yet to be told."""
    days = {*stale_days(export, _lake, ledger, _rules)}
    if context.retry_number:
        known = days_of(ledger, export.system, export.name).items()
        failed = {day for day, state in known if not state.newest.is_ok}
        days |= failed & _lake.landed_days(export.system, export.name).keys()
    return days


def _chosen(context: dg.AssetExecutionContext, export: Export) -> set[date]:
    """The chosen days that have landed. Where the step is tried again, without those that it has
    extracted before."""
    landed = _lake.landed_days(export.system, export.name)
    chosen = [date.fromisoformat(key) for key in context.partition_keys]
    if missing := [day for day in chosen if day not in landed]:
        context.log.warning(f"Nothing has landed for {spans(missing)}.")
        # Dagster ties every chosen day to this run; these are not to turn red with another.
        _tie(context, missing, RUNLESS_RUN_ID)
    done = _materialized(context) if context.retry_number else set()
    return {day for day in chosen if day in landed and str(day) not in done}


def _materialized(context: dg.AssetExecutionContext) -> set[str | None]:
    """The partitions that this run has extracted before the step was tried again."""
    of_type = dg.DagsterEventType.ASSET_MATERIALIZATION
    entries = context.instance.all_logs(context.run.run_id, of_type=of_type)
    events = [entry.get_dagster_event() for entry in entries]
    return {event.partition for event in events if event.asset_key == context.asset_key}


def _leave(context: dg.AssetExecutionContext, days: Sequence[date], why: str) -> None:
    context.log.warning(f"Left to the next run, {why}: {spans(days)}.")
    _tie(context, days, RUNLESS_RUN_ID)


def _materialization(key: dg.AssetKey, attempt: Extraction) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        key,
        partition=str(attempt.landing_date),
        metadata={
            "files": attempt.files,
            "rows_in": attempt.rows_in,
            "rows_accepted": attempt.rows_accepted,
            "rows_rejected": attempt.rows_rejected,
            "rows_superseded": attempt.rows_superseded,
            "new_columns": list(attempt.drift),
        },
    )


def _check_result(finding: arrivals.Finding) -> dg.AssetCheckResult:
    severe = finding.name == "rows_add_up"
    against = [(str(day), said) for day, said in finding.against.items()]
    # The newest in words, because the rest is behind a click.
    newest = against[-3:]
    return dg.AssetCheckResult(
        check_name=finding.name,
        description="; ".join(f"{day}: {said}" for day, said in reversed(newest)) or None,
        passed=not against,
        severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
        metadata={"days": len(against), "which": dict(against[-50:])},
    )


def _turn_red(context: dg.AssetExecutionContext, days: Sequence[date]) -> None:
    """Tie the days that failed to this run, so that they and no others show as failed.

    Dagster does so for chosen partitions when it creates a run; without chosen ones no day is tied
    to it. Choosing a whole span instead would turn each day in it red that is unchanged or never
    landed.
    """
    if not context.run.is_partitioned:
        _tie(context, days, context.run.run_id)


def _tie(context: dg.AssetExecutionContext, days: Sequence[date], run_id: str) -> None:
    """Days that are planned by a run that fails, and do not materialize in it, show as failed."""
    step = context.op_execution_context.get_step_execution_context().step.key
    for day in days:
        event = dg.DagsterEvent.build_asset_materialization_planned_event(
            context.job_name, step, AssetMaterializationPlannedData(context.asset_key, str(day))
        )
        context.instance.report_dagster_event(event, run_id)


def _schema(export: Export) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name, column.type, constraints=dg.TableColumnConstraints(column.is_nullable)
            )
            for column in export.columns
        ]
    )


raw_exports = [raw_export(export) for export in settings.declared().values()]
ledger = dg.AssetSpec(
    ["lake", "extractions"],
    deps=[asset.key for asset in raw_exports],
    group_name="raw/lake",
    description="The ledger of extractions: one line per attempt at a landing day.",
    kinds={"json"},
)
