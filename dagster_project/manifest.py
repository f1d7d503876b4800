"""dbt's manifest, made ahead: Dagster reads it at import, and parsing outlasts a small build.

Runs `dbt parse` when the dbt project or its variables changed. What the manifest means for Dagster
stands in defs/dbt_models.py.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster_project.settings import CHECKOUT, DBT_DIR, Settings

Manifest = dict[str, Any]


class ManifestError(RuntimeError):
    """dbt could not parse the project; its text is what dbt said."""


def target_dir(settings: Settings) -> Path:
    """Where every dbt command of this project writes: nothing of it lands in the checkout."""
    return settings.dagster_home / "dbt" / "target"


def load(settings: Settings) -> Manifest:
    """A manifest that fits the dbt project as it stands. Raises ManifestError."""
    # Not in dbt's own folder: `dbt build` rewrites its manifest while Dagster may be reading.
    path = settings.dagster_home / "dbt" / "manifest.json"
    stamp = path.with_name("manifest.of")
    wanted = hash_of([*files_below(DBT_DIR), Path(__file__)], settings.dbt_vars, settings.data_dir)
    if not (path.exists() and stamp.exists() and stamp.read_text() == wanted):
        manifest = _parse(settings)
        _attach_tests(manifest)
        fresh = path.with_suffix(".partial")
        fresh.write_text(json.dumps(manifest))
        fresh.replace(path)
        stamp.write_text(wanted)
    loaded: Manifest = json.loads(path.read_text())
    return loaded


def nodes(manifest: Mapping[str, Any], resource_type: str) -> list[Mapping[str, Any]]:
    """The nodes of one type (model, seed, test, ...), by name."""
    found = (node for node in manifest["nodes"].values() if node["resource_type"] == resource_type)
    return sorted(found, key=lambda node: str(node["name"]))


def personal_columns(manifest: Manifest) -> set[str]:
    """Names of the columns that an export or a model tags pii."""
    return {
        name
        for node in (*manifest["sources"].values(), *manifest["nodes"].values())
        for name, column in node.get("columns", {}).items()
        if "pii" in column["config"].get("tags", ())
    }


def grains(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    """By model, the columns of which it has one row each: what its unique_grain test proves."""
    return {
        manifest["nodes"][test["attached_node"]]["name"]: test["test_metadata"]["kwargs"]["columns"]
        for test in nodes(manifest, "test")
        if (test.get("test_metadata") or {}).get("name") == "unique_grain"
    }


def files_below(folder: Path) -> list[Path]:
    """Every file below `folder`, in a stable order, without what Python caches there."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def hash_of(files: list[Path], *facts: object) -> str:
    """One hash of the names and contents of `files` and of `facts`."""
    digest = hashlib.sha256(repr(facts).encode())
    for path in files:
        digest.update(f"\0{path.relative_to(CHECKOUT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _parse(settings: Settings) -> Manifest:
    # Here and not above: whether anything is new is found out without dbt.
    from dagster_project import dbt_runner

    try:
        parsed = dbt_runner.parsed(settings.dbt_vars, target_dir(settings))
    except dbt_runner.DbtError as error:
        raise ManifestError(f"dbt cannot parse the project:\n{error}") from error
    manifest: Manifest = parsed.writable_manifest().to_dict(omit_none=False)
    return manifest


def _attach_tests(manifest: Manifest) -> None:
    """Say of each test with several refs which model it is a check of: the one that is built last.

    dagster-dbt wants to be told in the test's meta, and would otherwise not make it a check. Models
    that use the Polars tables are built after all others.
    """
    for test in nodes(manifest, "test"):
        parents = [name for name in test["depends_on"]["nodes"] if name in manifest["nodes"]]
        if not test.get("attached_node") and parents:
            last = max(parents, key=lambda name: (_uses_derived(manifest, name), name))
            reference = {"ref": {"name": manifest["nodes"][last]["name"]}}
            test["config"].setdefault("meta", {}).setdefault("dagster", reference)


def _uses_derived(manifest: Manifest, name: str) -> bool:
    if name in manifest["sources"]:
        return bool(manifest["sources"][name]["source_name"] == "derived")
    return any(_uses_derived(manifest, parent) for parent in manifest["parent_map"][name])
