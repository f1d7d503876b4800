"""The data folder: which names are landed days; a target is replaced whole or not at all."""

from datetime import date
from pathlib import Path

import pytest

from dagster_project.core.lake import Lake
from dagster_project.core.ledger import sha256_of

DAY = date(2024, 1, 5)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def land(lake: Lake, *names: str) -> Path:
    """Files of these names in the landing folder of crm/accounts; a trailing slash is a folder."""
    folder = lake.landing("crm", "accounts")
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.touch()
    return folder


def test_a_relative_data_folder_is_refused() -> None:
    with pytest.raises(ValueError, match="absolute"):
        Lake(Path("data"))


def test_every_place_lies_under_the_root(lake: Lake) -> None:
    root = lake.root
    assert lake.raw_day("crm", "accounts", DAY) == (
        root / "raw/crm/accounts/date=2024-01-05/data.parquet"
    )
    assert lake.rejects_day("crm", "accounts", DAY) == (
        root / "rejects/crm/accounts/date=2024-01-05/rejects.parquet"
    )
    assert lake.raw_empty("crm", "accounts") == root / "raw/crm/accounts/schema/empty.parquet"
    assert lake.derived("survey_scores") == root / "derived/survey_scores.parquet"
    assert lake.ledger == root / "raw/extractions.jsonl"


def test_a_folder_that_somebody_put_among_the_rejects_is_passed_over(lake: Lake) -> None:
    kept = lake.rejects_day("crm", "accounts", DAY).parent
    for folder in (kept, kept.with_name(f"{kept.name}.bak")):
        folder.mkdir(parents=True)
    assert list(lake.rejects_days()) == [(DAY, kept)]


def test_a_file_behind_a_link_that_nobody_may_follow_has_landed_beside_others(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, is_file = land(lake, "2024-01-04.csv", "2024-01-05.csv"), Path.is_file
    forbidden = folder / "2024-01-04.csv"

    def refused(path: Path) -> bool:
        if path == forbidden:
            raise PermissionError(13, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refused)
    assert lake.landed_days("crm", "accounts") == {
        date(2024, 1, 4): (forbidden,),
        DAY: (folder / "2024-01-05.csv",),
    }
    assert sha256_of(forbidden) == ""


def test_a_landing_folder_that_may_not_be_read_is_not_an_empty_one(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, "2024-01-05.csv")

    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(PermissionError):
        lake.landed_exports()


def test_rows_as_they_landed_are_for_their_owner_alone_unless_somebody_opens_them(
    lake: Lake,
) -> None:
    (lake.root / "rejects").mkdir(mode=0o750)
    lake.make_private()
    modes = {path.name: path.stat().st_mode & 0o777 for path in lake.root.iterdir()}
    assert modes == {"raw": 0o700, "rejects": 0o750, ".tmp": 0o700}


@pytest.mark.parametrize("extension", ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
def test_a_file_named_as_a_day_in_a_known_format_has_landed(lake: Lake, extension: str) -> None:
    folder = land(lake, f"2024-01-05.{extension}")
    assert lake.landed_days("crm", "accounts") == {DAY: (folder / f"2024-01-05.{extension}",)}
    assert lake.stray_names("crm", "accounts") == []


def test_a_day_is_its_folder_and_all_its_files_together(lake: Lake) -> None:
    folder = land(lake, "2024-01-05/b.csv", "2024-01-05/a.jsonl", "2024-01-05.parquet")
    parts = tuple(
        folder / n for n in ("2024-01-05.parquet", "2024-01-05/a.jsonl", "2024-01-05/b.csv")
    )
    assert set(lake.landed_days("crm", "accounts")[DAY]) == set(parts)
    assert lake.landed_day("crm", "accounts", DAY) == lake.landed_days("crm", "accounts")[DAY]


@pytest.mark.parametrize("stray", ["2024-01-05.csv/part.csv", "2024-01-05.parquet/"])
def test_a_folder_named_as_a_file_is_no_part_of_the_day_beside_it(lake: Lake, stray: str) -> None:
    folder = land(lake, "2024-01-05.jsonl", stray)
    parts = (folder / "2024-01-05.jsonl",)
    assert lake.landed_days("crm", "accounts") == {DAY: parts}
    assert lake.landed_day("crm", "accounts", DAY) == parts
    assert lake.stray_names("crm", "accounts") == [stray.split("/")[0]]


def test_days_come_in_order(lake: Lake) -> None:
    land(lake, "2024-02-01.csv", "2023-12-31.csv", "2024-01-05/x.csv")
    assert list(lake.landed_days("crm", "accounts")) == [
        date(2023, 12, 31),
        date(2024, 1, 5),
        date(2024, 2, 1),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "2024-1-5.csv",
        "2024-02-30.csv",
        "20240105.csv",
        "2024-01-05.txt",
        "2024-01-05",
        "2024-01-05.csv.zip",
        "2024-01-05 (1).csv",
        "2024-01-05.csv/part.csv",
        "accounts_2024-01-05.csv",
        "\u0662\u0660\u0662\u0664-01-05.csv",
    ],
)
def test_other_names_are_stray_and_never_a_day(lake: Lake, name: str) -> None:
    land(lake, name)
    assert lake.landed_days("crm", "accounts") == {}
    assert lake.landed_day("crm", "accounts", DAY) == ()
    assert lake.stray_names("crm", "accounts") == [name.split("/")[0]]


@pytest.mark.parametrize(
    "name",
    [
        ".hidden",
        "_SUCCESS",
        "2024-01-05.csv.tmp",
        "2024-01-05.csv.part",
        "2024-01-05.csv.partial",
        "2024-01-05/_SUCCESS",
    ],
)
def test_what_writers_leave_beside_their_data_is_ignored(lake: Lake, name: str) -> None:
    land(lake, name)
    assert lake.landed_days("crm", "accounts") == {}
    assert lake.stray_names("crm", "accounts") == []


def test_an_empty_day_folder_has_not_landed(lake: Lake) -> None:
    land(lake, "2024-01-05/")
    assert lake.landed_days("crm", "accounts") == {}
    assert lake.landed_day("crm", "accounts", DAY) == ()


def test_an_export_without_a_folder_has_not_landed(lake: Lake) -> None:
    assert lake.landed_days("crm", "accounts") == {}
    assert lake.landed_exports() == []


def test_folders_of_landing_are_listed_whether_declared_or_not(lake: Lake) -> None:
    land(lake, "2024-01-05.csv")
    lake.landing("biling", "invoices").mkdir(parents=True)
    assert lake.landed_exports() == [("biling", "invoices"), ("crm", "accounts")]


def test_a_target_is_replaced_only_when_the_block_ends_well(lake: Lake) -> None:
    target = lake.derived("scores")
    with lake.replacing(target) as file:
        file.write_text("first")

    def fail_half_way() -> None:
        with lake.replacing(target) as file:
            file.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "first"
    assert list(lake.temporary.iterdir()) == []
