"""The short form of `make kills`: extraction and publishing, killed a few times each."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import kills
import pytest

from dagster_project.core.lake import Lake

KILLS = 6


@pytest.mark.parametrize(
    ("name", "heal"),
    [("extraction", kills.heal_extraction), ("publishing", kills.heal_publishing)],
)
def test_what_is_killed_leaves_nothing_half_and_the_next_run_heals(
    tmp_path: Path, name: str, heal: Callable[[Path], list[str]]
) -> None:
    assert kills.kill_endless(name, tmp_path, KILLS, Random(5)) == []
    assert heal(tmp_path) == []


def test_half_a_release_a_half_day_and_a_leftover_are_found_out(tmp_path: Path) -> None:
    kills.heal_publishing(tmp_path)
    (tmp_path / "published" / "parquet" / "mart_a.parquet").unlink()
    assert "differ in ['mart_a']" in kills.faults_of_published(tmp_path / "published")[0]
    raw = Lake(tmp_path).raw_day("crm", "things", kills.DAYS[0])
    raw.parent.mkdir(parents=True)
    raw.write_bytes(b"PAR1")
    assert len(kills.faults_of_raw(Lake(tmp_path))) == 1
    (tmp_path / "published" / "current.partial").touch()
    assert kills.left_behind(tmp_path) == ["left behind: published/current.partial"]
