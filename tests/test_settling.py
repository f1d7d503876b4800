"""A file still being written is left alone until it stands still."""

import os
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from dagster_project.core import settling
from dagster_project.core.exports import load_exports
from dagster_project.core.lake import Lake
from dagster_project.settings import STAGING_DIR

USERS = load_exports(STAGING_DIR)["crm/users"]
DAYS = [date(2024, 1, 5), date(2024, 1, 6)]
LONG_AGO = -3600.0


class Landing:
    """The landing folder of an export, and what happens to it while somebody waits."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.lake = Lake(root)
        self.waited: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None
        patch.setattr(time, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.meanwhile()

    def write(self, name: str, text: str = "id\n", written: float = 0.0) -> Path:
        """A file as if written so many seconds from now."""
        path = self.lake.landing("crm", "users") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.date_back(path, written)
        return path

    def date_back(self, path: Path, written: float) -> None:
        os.utime(path, (time.time() + written, time.time() + written))

    def settled(self, seconds: float = 5) -> list[date]:
        return settling.settled(USERS, self.lake, DAYS, seconds)


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Landing:
    return Landing(tmp_path, monkeypatch)


def test_files_of_a_while_ago_are_not_waited_for(landing: Landing) -> None:
    for day in DAYS:
        landing.write(f"{day}.csv", written=LONG_AGO)
    assert landing.settled() == DAYS
    assert landing.waited == []


def test_new_files_are_waited_for_once_and_taken_if_they_stand_still(landing: Landing) -> None:
    for day in DAYS:
        landing.write(f"{day}.csv", written=-2)
    assert landing.settled() == DAYS
    [waited] = landing.waited
    assert 2 < waited < 4
    assert landing.settled(seconds=0) == DAYS
    assert len(landing.waited) == 1


def test_a_file_that_grows_meanwhile_is_left_and_no_other(landing: Landing) -> None:
    growing = landing.write(f"{DAYS[0]}.csv")
    landing.write(f"{DAYS[1]}.csv")
    landing.meanwhile = lambda: growing.write_text("id\n1\n")
    assert landing.settled() == [DAYS[1]]


def test_a_part_that_comes_meanwhile_is_still_to_be_waited_for(landing: Landing) -> None:
    landing.write(f"{DAYS[0]}/1.csv")
    landing.write(f"{DAYS[1]}.csv", written=LONG_AGO)
    landing.meanwhile = lambda: landing.write(f"{DAYS[0]}/2.csv", written=LONG_AGO)
    assert landing.settled() == [DAYS[1]]


def test_parts_written_before_they_are_moved_into_the_folder_are_waited_for(
    landing: Landing,
) -> None:
    part = landing.write(f"{DAYS[0]}/1.csv", written=LONG_AGO)
    landing.write(f"{DAYS[1]}.csv", written=LONG_AGO)
    assert landing.settled() == DAYS
    assert len(landing.waited) == 1
    landing.date_back(part.parent, LONG_AGO)
    assert landing.settled() == DAYS
    assert len(landing.waited) == 1


def test_a_writer_whose_clock_goes_ahead_is_waited_for_no_longer(landing: Landing) -> None:
    landing.write(f"{DAYS[0]}.csv", written=86_400)
    landing.write(f"{DAYS[1]}.csv", written=LONG_AGO)
    assert landing.settled() == DAYS
    assert landing.waited == [5]
