"""The dbt project as assets: one asset per seed and model, one asset check per test.

What the models compute stands in dbt/; this file only says how they hang in the graph.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject, dbt_assets
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

from dagster_project import dbt_runner, freshness, manifest, settings, state
from dagster_project.core import closes, warehouse
from dagster_project.core.extraction import Extractor
from dagster_project.retries import passing_faults

_settings = settings.current()
_manifest = manifest.load(_settings)
_models = [*manifest.nodes(_manifest, "seed"), *manifest.nodes(_manifest, "model")]
_tests = {test["name"] for test in manifest.nodes(_manifest, "test")}


class FolderTranslator(DagsterDbtTranslator):
    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The folder of a model is its group: marts/revenue/mart_mrr.sql -> marts/revenue."""
        folder = Path(dbt_resource_props["path"]).parent
        return str(folder) if folder.name else dbt_resource_props["resource_type"] + "s"

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        """Marts have to be fresh; what they are made of is looked at by nobody."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        if spec.key.path[0] != "marts":
            return spec
        return spec.replace_attributes(freshness_policy=freshness.of_marts())


_translator = FolderTranslator(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))


@dbt_assets(
    manifest=_manifest,
    project=DbtProject(settings.DBT_DIR),
    dagster_dbt_translator=_translator,
    required_resource_keys={"lock"},
)
def dbt_models(context: dg.AssetExecutionContext) -> Iterator[Any]:
    lake = _settings.lake
    target = manifest.target_dir(_settings)
    with passing_faults(context):
        # What never arrived is an empty table and not an error, also for systems that are off.
        with Extractor(lake, state.rules(_settings), _settings.memory_limit) as extractor:
            for export in settings.declared().values():
                extractor.ensure_empty(export)
        lake.ledger.touch()
        closes.ready(lake)
        if found := warehouse.ready(lake, _settings.engine):
            context.log.warning(f"The warehouse could not be opened and is built anew: {found}")
        for result in dbt_runner.build(_settings.dbt_vars, target, _selection(context)):
            message = DbtCoreCliEventMessage(raw_event=result, event_history_metadata={})
            yield from message.to_default_asset_events(
                manifest=_manifest, dagster_dbt_translator=_translator, context=context
            )


def _selection(context: dg.AssetExecutionContext) -> list[str]:
    """The seeds and models of the step and its own checks, as options of dbt.

    dbt by itself runs every test that touches one of them, also against models that only a later
    step builds. The shorter list is passed: dbt matches each name against every node.
    """
    chosen = {key.name for key in context.selected_asset_check_keys}
    chosen |= {
        node["name"]
        for node in _models
        if _translator.get_asset_key(node) in context.selected_asset_keys
    }
    others = {*_tests, *(node["name"] for node in _models)} - chosen
    if not others:
        return []
    if len(others) < len(chosen):
        return ["--indirect-selection", "empty", "--exclude", *sorted(others)]
    return ["--indirect-selection", "empty", "--select", *sorted(chosen)]
