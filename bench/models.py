"""The SQL of the dbt models as dbt compiles it, in build order, to be run without dbt."""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from bench.measuring import CHECKOUT, DBT_EXECUTABLE, TaskFailedError
from dagster_project.settings import DBT_DIR

# Relation, view or table, SELECT, and of a model in batches the column of dates that tells them
# apart and the relation that has all of these.
Statement = tuple[str, str, str, tuple[str, str] | None]


def compile_models(data_dir: Path, models: Sequence[str] = ()) -> Path:
    """Compile `models` and all they need (or everything) for `data_dir`; the file of statements.

    Of everything, the warehouse must have been built: a model asks a seed while it compiles.
    """
    target = data_dir / "bench-target"
    selection = ["--select", *(f"+{model}" for model in models)] if models else []
    done = subprocess.run(
        [
            *(str(DBT_EXECUTABLE), "--quiet", "compile", "--full-refresh", *selection),
            *("--project-dir", str(DBT_DIR), "--profiles-dir", str(DBT_DIR)),
            *("--target-path", str(target), "--log-path", str(target)),
        ],
        env=os.environ | {"DATA_DIR": str(data_dir)},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise TaskFailedError(f"dbt cannot compile:\n{done.stdout}{done.stderr}")
    nodes: Mapping[str, Any] = json.loads((target / "manifest.json").read_text())["nodes"]
    chosen = {
        name: node
        for name, node in nodes.items()
        if node["resource_type"] in ("model", "seed")
        and (node.get("compiled_code") or node["resource_type"] == "seed")
    }
    parents = {n: node.get("depends_on", {}).get("nodes", ()) for n, node in chosen.items()}
    ordered = [name for name in TopologicalSorter(parents).static_order() if name in chosen]
    statements = [_statement(chosen[name]) for name in ordered]
    path = data_dir / ("-".join(models) + ".json" if models else "all.json")
    path.write_text(json.dumps(statements))
    return path


def _statement(node: Mapping[str, Any]) -> Statement:
    relation = f"{node['schema']}.{node['name']}"
    if node["resource_type"] == "seed":
        types = node["config"].get("column_types") or {}
        casts = "".join(f"'{column}': '{kind}', " for column, kind in types.items())
        options = f", types = {{{casts}}}" if casts else ""
        path = DBT_DIR / node["original_file_path"]
        return relation, "table", f"from read_csv('{path}'{options})", None
    kind = "view" if node["config"]["materialized"] == "view" else "table"
    # The compiled names carry the database of the profile.
    sql = re.sub(r'"warehouse"\."(\w+)"\."(\w+)"', r"\1.\2", node["compiled_code"])
    batches_of = node["config"].get("batches_of")
    batches = (node["config"]["unique_key"], f"{node['schema']}.{batches_of}")
    return relation, kind, sql, batches if batches_of else None
