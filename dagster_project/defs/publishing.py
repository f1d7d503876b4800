"""Publishing: every mart built and every blocking check passed in this run -> one new release."""

import datetime as dt
from functools import partial

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from dagster_project import freshness, manifest, settings, state
from dagster_project.core import closes, warehouse
from dagster_project.core.publish import Release, publish
from dagster_project.retries import passing_faults

_settings = settings.current()
_manifest = manifest.load(_settings)
_models = manifest.nodes(_manifest, "model")
_grains = manifest.grains(_manifest)
# Taken at import, so that an edit during the run does not pass for what the run was built from.
_code_state = state.code_state(_settings)


@dg.asset(
    deps=[["marts", model["name"]] for model in _models if model["fqn"][1] == "marts"],
    group_name="published",
    kinds={"duckdb", "parquet"},
    freshness_policy=freshness.of_marts(),
    required_resource_keys={"lock"},
)
def published_marts(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """What analysts open: every mart as one DuckDB file and as Parquet, switched to at once."""
    if unproven := _unproven_checks(context):
        raise dg.Failure(f"Not published: no pass in this run of {', '.join(unproven)}.")
    stale = [export.sentence for export in state.stale_exports(_settings)]
    if stale and _settings.policies["on_failed_export"] == "hold":
        raise dg.Failure(f"Not published, because on_failed_export is hold: {' '.join(stale)}")
    lost = [f"{name} {day}" for name, days in state.lost_days(_settings).items() for day in days]
    if lost:
        raise dg.Failure(
            f"Not published: raw has lost {', '.join(lost[:5])}, which the ledger says it holds;"
            " extract these days again, or land their files again."
        )
    lake = _settings.lake
    raw_state = state.raw_state(_settings)
    kept = _settings.integer("releases_kept")
    with passing_faults(context):
        release = Release(
            release_id=dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ"),
            as_of_date=warehouse.as_of_date(lake.warehouse, _settings.engine),
            fingerprint=state.fingerprint(_code_state, raw_state),
            raw_state=raw_state,
        )
        write_closes = partial(
            closes.write_new, lake, release.release_id, _settings.integer("close_business_day")
        )
        rows = publish(
            lake.warehouse,
            lake.published,
            release,
            kept,
            write_closes,
            _grains,
            _settings.engine,
        )
        closes.commit(lake)
    return dg.MaterializeResult(
        metadata={
            "release_id": release.release_id,
            "path": dg.MetadataValue.path(lake.published / "marts.duckdb"),
            "stale_exports": stale,
            **{f"rows/{mart}": count for mart, count in rows.items()},
        }
    )


def _unproven_checks(context: dg.AssetExecutionContext) -> list[str]:
    """Blocking checks without a pass in this run, which alone knows what is in the warehouse now.

    Warnings do not block, nor do the checks of the raw exports: other runs extract those.
    """
    graph = context.job_def.asset_layer.asset_graph
    blocking = [key for key in graph.asset_check_keys if graph.get(key).blocking]
    storage = context.instance.event_log_storage
    latest = storage.get_latest_asset_check_execution_by_key(blocking)
    proven = {
        key
        for key, record in latest.items()
        if record.run_id == context.run.run_id and _lets_pass(record)
    }
    return sorted(f"{key.name} ({key.asset_key.to_user_string()})" for key in {*blocking} - proven)


def _lets_pass(record: AssetCheckExecutionRecord) -> bool:
    if record.status == AssetCheckExecutionRecordStatus.FAILED and record.evaluation:
        return record.evaluation.severity == dg.AssetCheckSeverity.WARN
    return record.status == AssetCheckExecutionRecordStatus.SUCCEEDED
