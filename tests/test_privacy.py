"""Personal data: which columns of marts may hold it, and the policy that each of them obeys; and
that nothing which is told of a file quotes its cells."""

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from dagster_project import manifest as dbt_manifest
from dagster_project import night, settings
from dagster_project.core import warehouse
from dagster_project.core.exports import load_exports
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import Lake
from dagster_project.core.ledger import Extraction
from dagster_project.core.staleness import Rules

# Every column of a mart that is tagged pii, and the policy that withholds it.
PERSONAL = {
    ("mart_account_360", "account_name"): "publish_names",
    ("mart_account_360", "csm_owner"): "publish_names",
    ("mart_desired_outcomes", "evidence"): "publish_comments",
    ("mart_desired_outcomes", "stated_outcome"): "publish_comments",
    ("mart_survey_verbatims", "comment"): "publish_comments",
}
MACROS = {"publish_names": "published_name", "publish_comments": "published_text"}
# Called as a personal column of an export is called, and something else.
NAMESAKES = {
    ("int_accounts__fit", "evidence"),
    ("mart_fit_accounts", "evidence"),
    ("int_retention__durations", "subject"),
    ("int_retention__survival", "subject"),
    ("mart_survival_curve", "subject"),
}


def tagged(node: Mapping[str, Any]) -> set[str]:
    columns = node["columns"].items()
    return {name for name, column in columns if "pii" in column["config"].get("tags", ())}


def test_a_personal_column_is_tagged_wherever_it_is_passed_on(manifest: Mapping[str, Any]) -> None:
    of_exports = {name for source in manifest["sources"].values() for name in tagged(source)}
    assert len(of_exports) > 8
    untagged = {
        (node["name"], name)
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
        for name in (node["columns"].keys() & of_exports) - tagged(node)
    }
    assert untagged == NAMESAKES


def test_a_mart_holds_personal_data_where_a_policy_says_so_and_nowhere_else(
    manifest: Mapping[str, Any],
) -> None:
    marts = {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["fqn"][1] == "marts"
    }
    assert {(mart, name) for mart, node in marts.items() for name in tagged(node)} == set(PERSONAL)
    for (mart, name), policy in PERSONAL.items():
        lines = marts[mart]["raw_code"].splitlines()
        [passed_on] = [line for line in lines if line.endswith(f"as {name},")]
        assert f"{MACROS[policy]}(" in passed_on


def test_rows_behind_a_failed_check_are_shown_without_personal_data(
    manifest: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = next(node for node in manifest["nodes"].values() if node["resource_type"] == "test")
    duckdb.connect(str(tmp_path / "warehouse.duckdb")).close()
    monkeypatch.setattr(dbt_manifest, "load", lambda _: manifest)
    here = replace(settings.current(), data_dir=tmp_path)
    compiled = dbt_manifest.target_dir(here) / "compiled" / test["path"]
    compiled.parent.mkdir(parents=True)
    compiled.write_text("select 'A' as account_id, 'ada' as user_id")
    assert night._rows_behind(test["name"], here) == ["account_id=A, user_id=(personal)"]


def test_what_dbt_writes_beside_the_warehouse_is_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_project import dbt_runner

    lake = Lake(tmp_path)
    warehouse.ready(lake, settings.current().engine)
    modes, outside = {}, os.umask(0o022)

    def build(*_: object) -> SimpleNamespace:
        with duckdb.connect(str(lake.warehouse)) as db:
            db.execute("create table t as select 'Jane Doe' as name")
            for path in tmp_path.glob("warehouse.duckdb*"):
                modes[path.name] = path.stat().st_mode & 0o777
        return SimpleNamespace(success=True, result=None)

    monkeypatch.setattr(dbt_runner, "dbtRunner", lambda *_: SimpleNamespace(invoke=build))
    try:
        dbt_runner._invoke([])
        # What is published afterwards is for others to read.
        (tmp_path / "published").touch()
    finally:
        os.umask(outside)
    assert (tmp_path / "published").stat().st_mode & 0o777 == 0o644
    assert modes == {"warehouse.duckdb": 0o600, "warehouse.duckdb.wal": 0o600}


def extracted(root: Path, cell: bytes) -> tuple[Extraction, str]:
    """The attempt at accounts in a Parquet whose first cell of text is these bytes, and the ledger
    as it was written."""
    export, day, lake = (
        load_exports(settings.STAGING_DIR)["crm/accounts"],
        dt.date(2024, 1, 5),
        Lake(root),
    )
    stand_in = "x" * len(cell)
    file = lake.landing("crm", "accounts") / f"{day}.parquet"
    file.parent.mkdir(parents=True)
    columns = ", ".join(f"'{stand_in}' as {column.name}" for column in export.columns)
    to_parquet = f"to '{file}' (format parquet, compression uncompressed)"
    with duckdb.connect() as db:
        db.execute(f"copy (select {columns}) {to_parquet}")
    file.write_bytes(file.read_bytes().replace(stand_in.encode(), cell))
    with Extractor(lake, Rules(day, 0.1)) as extractor:
        line = extractor.extract_day(export, day)
    return line, lake.ledger.read_text()


@pytest.mark.parametrize(
    "cell",
    [
        b"M\xfcller geheim",
        b'a": value "M\xfcller (geheim)',
        b"5: M\xfcller, geheim",
        b"\xfc 'geheim'",
    ],
)
def test_what_the_engine_says_of_a_file_is_told_without_the_cell_that_it_quotes(
    tmp_path: Path, cell: bytes
) -> None:
    line, written = extracted(tmp_path, cell)
    assert line.error == (
        "2024-01-05.parquet: cannot be read as parquet"
        " (Invalid string encoding found in Parquet file)"
    )
    assert "geheim" not in written
