"""The layer law: who may use what, in Python and in SQL, and that breaking it is noticed."""

import ast
import copy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from dagster_project.definitions import definitions
from dagster_project.manifest import grains
from dagster_project.settings import CHECKOUT

PACKAGE = CHECKOUT / "dagster_project"
MAY_USE = {
    "staging": {"raw"},
    "intermediate": {"staging", "derived", "seeds", "intermediate"},
    "marts": {"intermediate", "derived", "seeds", "dimension"},
}
PREFIXES = {"staging": ("stg_",), "intermediate": ("int_",), "marts": ("dim_", "fct_", "mart_")}


def layer(node: Mapping[str, Any]) -> str:
    if node["resource_type"] == "source":
        return "derived" if node["source_name"] == "derived" else "raw"
    return "seeds" if node["resource_type"] == "seed" else str(node["fqn"][1])


def violations(manifest: Mapping[str, Any]) -> list[str]:
    """Sentences, one per forbidden edge between two nodes of a dbt manifest."""
    everything = {**manifest["nodes"], **manifest["sources"]}
    found = []
    for node in manifest["nodes"].values():
        if node["resource_type"] != "model":
            continue
        for parent in (everything[name] for name in node["depends_on"]["nodes"]):
            is_dimension = layer(parent) == "marts" and parent["name"].startswith("dim_")
            used = "dimension" if is_dimension else layer(parent)
            if used not in MAY_USE[layer(node)]:
                found.append(f"{node['name']} may not use {used}: {parent['name']}")
    return sorted(found)


def test_every_column_of_a_seed_has_a_type() -> None:
    # Or one that somebody empties would get any.
    project = yaml.safe_load((CHECKOUT / "dbt" / "dbt_project.yml").read_text())
    for path in (CHECKOUT / "dbt" / "seeds").glob("*.csv"):
        header = path.read_text().splitlines()[0].split(",")
        assert list(project["seeds"]["customer_success"][path.stem]["+column_types"]) == header


def test_models_keep_the_layer_law(manifest: Mapping[str, Any]) -> None:
    assert violations(manifest) == []


@pytest.mark.parametrize(
    ("model", "parent", "sentence"),
    [
        (
            "mart_mrr_bridge",
            "model.customer_success.stg_billing__subscriptions",
            "mart_mrr_bridge may not use staging: stg_billing__subscriptions",
        ),
        (
            "mart_mrr_bridge",
            "source.customer_success.crm.accounts",
            "mart_mrr_bridge may not use raw: accounts",
        ),
        (
            "mart_mrr_bridge",
            "model.customer_success.mart_portfolio_growth",
            "mart_mrr_bridge may not use marts: mart_portfolio_growth",
        ),
        (
            "int_accounts__slices",
            "model.customer_success.dim_accounts",
            "int_accounts__slices may not use dimension: dim_accounts",
        ),
        (
            "int_accounts__slices",
            "source.customer_success.crm.accounts",
            "int_accounts__slices may not use raw: accounts",
        ),
        (
            "stg_crm__accounts",
            "model.customer_success.stg_crm__users",
            "stg_crm__accounts may not use staging: stg_crm__users",
        ),
        (
            "stg_crm__accounts",
            "source.customer_success.derived.survey_scores",
            "stg_crm__accounts may not use derived: survey_scores",
        ),
    ],
)
def test_a_forbidden_edge_is_noticed(
    manifest: Mapping[str, Any], model: str, parent: str, sentence: str
) -> None:
    broken = copy.deepcopy(dict(manifest))
    edges = broken["nodes"][f"model.customer_success.{model}"]["depends_on"]["nodes"]
    edges.append(parent)
    assert sentence in violations(broken)


def test_a_model_is_named_after_its_layer_and_folder(manifest: Mapping[str, Any]) -> None:
    for node in manifest["nodes"].values():
        if node["resource_type"] != "model":
            continue
        _, folder, *domain, name = node["fqn"]
        assert name.startswith(PREFIXES[folder]), name
        if folder != "marts":
            assert name.removeprefix(PREFIXES[folder][0]).startswith(f"{domain[0]}__"), name


@pytest.mark.parametrize(
    ("path", "line", "is_refused"),
    [
        ("core/new.py", "import dagster as dg", True),
        ("core/new.py", "from dagster import asset", True),
        ("core/samples/new.py", "import dagster_dbt", True),
        ("core/new.py", "from dagster_project import settings", True),
        ("core/new.py", "from dagster_project.settings import current", True),
        ("core/new.py", "from dagster_project.defs import publishing", True),
        ("core/new.py", "from dagster_project.core.lake import Lake", False),
        ("core/new.py", "import polars as pl", False),
        ("defs/new.py", "import dagster as dg", False),
    ],
)
def test_ruff_refuses_what_core_may_not_import(path: str, line: str, is_refused: bool) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    done = subprocess.run(
        [ruff, "check", "--select", "TID251", "--stdin-filename", PACKAGE / path, "-"],
        input=f"{line}\n",
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
    )
    assert ("TID251" in done.stdout) == is_refused, done.stdout + done.stderr


def test_core_imports_neither_dagster_nor_the_settings() -> None:
    code = (
        "import importlib, pkgutil, sys, dagster_project.core as core\n"
        "for module in pkgutil.walk_packages(core.__path__, 'dagster_project.core.'):\n"
        "    importlib.import_module(module.name)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=True
    )
    loaded = set(done.stdout.split())
    assert "dagster_project.core.surveys" in loaded
    assert not loaded & {"dagster", "dagster_dbt", "dagster_project.settings"}


def test_nobody_imports_the_declarations() -> None:
    imported = {
        (path.relative_to(CHECKOUT), alias)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for alias in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [name.name for name in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert len(imported) > 20
    assert not {item for item in imported if item[1].startswith("dagster_project.defs")}


@pytest.fixture(scope="module")
def graph() -> AssetGraph:
    return definitions().resolve_asset_graph()


def test_derived_assets_read_staging_intermediate_and_seeds_alone(graph: AssetGraph) -> None:
    derived = [key for key in graph.materializable_asset_keys if key.path[0] == "derived"]
    assert len(derived) == 4
    for key in derived:
        parents = {parent.path[0] for parent in graph.get(key).parent_keys}
        assert parents <= {"staging", "intermediate", "seeds"}, key


def test_every_dbt_test_is_an_asset_check(graph: AssetGraph, manifest: Mapping[str, Any]) -> None:
    tests = {n["name"] for n in manifest["nodes"].values() if n["resource_type"] == "test"}
    checks = {key.name for key in graph.asset_check_keys}
    assert tests
    assert tests - checks == set()


def test_nothing_is_published_before_every_mart_is_built(
    graph: AssetGraph, manifest: Mapping[str, Any]
) -> None:
    marts = {
        dg.AssetKey(["marts", node["name"]])
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["fqn"][1] == "marts"
    }
    assert graph.get(dg.AssetKey("published_marts")).parent_keys == marts


def test_exports_marts_and_what_is_published_have_to_be_fresh(graph: AssetGraph) -> None:
    watched = {key for key in graph.materializable_asset_keys if graph.get(key).freshness_policy}
    assert watched == {
        key
        for key in graph.materializable_asset_keys
        if graph.get(key).is_partitioned or key.path[0] in ("marts", "published_marts")
    }


def test_every_declared_export_is_a_daily_asset(
    graph: AssetGraph, manifest: Mapping[str, Any]
) -> None:
    exports = {
        dg.AssetKey([source["source_name"], source["name"]])
        for source in manifest["sources"].values()
        if source["source_name"] not in ("derived", "lake")
    }
    daily = {key for key in graph.materializable_asset_keys if graph.get(key).is_partitioned}
    assert daily == exports
    for key in exports:
        assert graph.get(key).group_name == f"raw/{key.path[0]}"


def test_incremental_models_prove_the_grain_that_they_state(manifest: Mapping[str, Any]) -> None:
    stated = grains(manifest)
    proven = {
        node["name"]: node["config"]["grain"]
        for node in manifest["nodes"].values()
        if node["config"].get("materialized") == "incremental"
    }
    assert proven
    assert proven == {name: stated[name] for name in proven}
