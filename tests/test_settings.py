"""What a person can set: a value that makes no sense is refused in one sentence."""

import csv
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dagster_project import settings
from dagster_project.settings import DBT_DIR, SettingsError


@pytest.fixture(autouse=True)
def uncached() -> Iterator[None]:
    settings.current.cache_clear()
    yield
    settings.current.cache_clear()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("DATA_DIR", "/tmp/it's", "DATA_DIR may not contain '"),
        ("DATA_DIR", "/tmp/data[1]", "DATA_DIR may not contain [ ]"),
        ("DATA_DIR", "/tmp/a#b\\c", "DATA_DIR may not contain # \\"),
        ("DATA_DIR", "/tmp/a%20b", "DATA_DIR may not contain %20"),
        (
            "VARS",
            "{past_due_grace_days: 36501}",
            "VARS sets past_due_grace_days to 36501, which is not integer up to 36500",
        ),
        (
            "VARS",
            "{close_business_day: 61}",
            "VARS sets close_business_day to 61, which is not integer up to 60",
        ),
        ("SYSTEMS", "crm,salesfarce", "SYSTEMS names salesfarce"),
        ("VARS", "{gap_tolerance: 3}", "VARS names gap_tolerance, which is no policy"),
        ("VARS", "{trial_policy: maybe}", "VARS sets trial_policy to 'maybe'"),
        ("VARS", "{gap_tolerance_days: -1}", "VARS sets gap_tolerance_days to -1"),
        ("VARS", "{reporting_timezone: Mars/Olympus}", "VARS sets reporting_timezone"),
        (
            "VARS",
            "{reject_days_kept: 999999}",
            "VARS sets reject_days_kept to 999999, which is not integer up to",
        ),
        (
            "VARS",
            "{week_start: Sunday}",
            "VARS sets week_start to 'Sunday', which is not monday | tuesday",
        ),
        ("VARS", "{reporting_timezone: [UTC]}", "VARS sets reporting_timezone to ['UTC']"),
        ("VARS", "{login_event: ''}", "VARS sets login_event to '', which is not text"),
        ("VARS", "{max_reject_share: 10}", "VARS sets max_reject_share to 10"),
        ("VARS", "{anomaly_band: .nan}", "VARS sets anomaly_band to nan, which is not number"),
        ("VARS", "{anomaly_band: .inf}", "VARS sets anomaly_band to inf"),
        ("VARS", "{usage_retention_brackets: 0;7}", "VARS sets usage_retention_brackets to '0;7'"),
        ("VARS", "{usage_retention_brackets: '0, x'}", "VARS sets usage_retention_brackets"),
        ("VARS", "{usage_retention_brackets: '7, 7'}", "VARS sets usage_retention_brackets"),
        ("VARS", "{usage_retention_brackets: 7}", "VARS sets usage_retention_brackets to 7"),
        ("VARS", "{as_of: yesterday}", "VARS sets as_of to 'yesterday'"),
        ("VARS", "{as_of: 20240101}", "VARS sets as_of to 20240101"),
        ("VARS", "{as_of: '20240101'}", "VARS sets as_of to '20240101'"),
        ("VARS", "{as_of: 2024-W01-1}", "VARS sets as_of to '2024-W01-1'"),
        ("VARS", "latest_start", "VARS must be a YAML mapping"),
        ("VARS", "{a: ", "VARS must be a YAML mapping"),
        ("MEMORY_LIMIT", "80%", "MEMORY_LIMIT must be a size like 4GB or 800MB: 80%"),
        ("MEMORY_LIMIT", "0GB", "MEMORY_LIMIT must be a size"),
        ("MEMORY_LIMIT", "2GB'", "MEMORY_LIMIT must be a size"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        settings.current()
    assert str(refused.value).startswith(sentence)


def test_what_is_set_reaches_python_and_dbt_alike(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", "here")
    monkeypatch.setenv("SYSTEMS", "crm, ravenstack")
    monkeypatch.setenv("VARS", "{as_of: 2024-12-31, gap_tolerance_days: 0}")
    chosen = settings.current()
    assert chosen.data_dir == tmp_path / "here"
    assert chosen.systems == ("crm", "ravenstack")
    assert chosen.policies["gap_tolerance_days"] == 0
    variables = yaml.safe_load(chosen.dbt_vars)
    assert variables["as_of"] == "2024-12-31"
    assert variables["systems"] == ["crm", "ravenstack"]
    assert variables["trial_policy"] == "exclude"


@pytest.mark.parametrize(
    ("policy", "value"),
    [
        ("publish_comments", "None"),
        ("publish_comments", False),
        ("trial_policy", None),
        ("on_failed_export", "Hold"),
        ("first_day", "2020-13-01"),
        ("reporting_timezone", ["UTC"]),
        ("past_due_grace_days", None),
    ],
)
def test_a_default_that_makes_no_sense_is_refused_like_a_value_of_vars(
    policy: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = yaml.safe_load((DBT_DIR / "dbt_project.yml").read_text())
    project["vars"][policy] = value
    shutil.copytree(DBT_DIR / "seeds", tmp_path / "seeds")
    (tmp_path / "dbt_project.yml").write_text(yaml.safe_dump(project))
    monkeypatch.setattr(settings, "DBT_DIR", tmp_path)
    sentence = rf"dbt/dbt_project.yml sets {policy} to {re.escape(repr(value))}, which is not "
    with pytest.raises(settings.SettingsError, match=sentence):
        settings.current()


def test_every_policy_has_a_default_and_a_description() -> None:
    defaults = yaml.safe_load((DBT_DIR / "dbt_project.yml").read_text())["vars"]
    with (DBT_DIR / "seeds" / "policies.csv").open(newline="") as file:
        described = {row["policy"] for row in csv.DictReader(file) if row["description"]}
    assert described == defaults.keys() - {"systems", "metrics", "metric_defaults"}


def test_no_setting_and_no_metric_is_written_twice() -> None:
    # YAML takes the last of two equal keys without a word.
    lines = (DBT_DIR / "dbt_project.yml").read_text().splitlines()
    keys = [match[0] for line in lines if (match := re.match(r"  (  )?\w+:", line))]
    settings_and_metrics = keys[keys.index("  systems:") :]
    repeated = [key for key, count in Counter(settings_and_metrics).items() if count > 1]
    assert repeated == []


def test_the_memory_limit_reaches_dbt(monkeypatch: pytest.MonkeyPatch) -> None:
    # make exports it empty where nobody has set it.
    limit = f"env_var('MEMORY_LIMIT', '') or '{settings.DEFAULT_MEMORY_LIMIT}'"
    assert limit in (DBT_DIR / "profiles.yml").read_text()
    monkeypatch.setenv("MEMORY_LIMIT", " 800MiB")
    chosen = settings.current()
    assert chosen.memory_limit == os.environ["MEMORY_LIMIT"] == "800MiB"
    assert chosen.engine["memory_limit"] == "800MiB"
    assert chosen.engine["temp_directory"] == str(chosen.data_dir / ".tmp")
