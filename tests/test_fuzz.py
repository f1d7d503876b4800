"""The short form of `make fuzz`: hostile files, and proof that the judge would notice."""

from pathlib import Path

import duckdb
import fuzz
import pytest

from dagster_project.core.exports import Export
from dagster_project.core.extraction import Extractor
from dagster_project.core.files import Part
from dagster_project.core.lake import FORMATS

FILES = 60


def test_whatever_a_file_holds_ends_in_a_sentence_or_in_rows_that_add_up() -> None:
    wrong: list[str] = []
    fates = fuzz.run(range(FILES), wrong.append)
    assert wrong == []
    assert {format_ for format_, *_ in fates} == set(FORMATS)
    assert len({fate for *_, fate in fates}) > 6


def test_a_reader_that_loses_one_row_in_a_file_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Extractor._stage

    def forgetful(self: Extractor, part: Part, export: Export) -> Path:
        whole = stage(self, part, export)
        short = whole.with_suffix(".short")
        rows = (
            f"select * exclude file_row_number from read_parquet('{whole}', file_row_number = true)"
        )
        self._query(f"copy ({rows} where file_row_number <> 1) to '{short}' (format parquet)")
        return short

    monkeypatch.setattr(Extractor, "_stage", forgetful)
    wrong: list[str] = []
    fuzz.run(range(20), wrong.append)
    assert any("a plain reading finds" in sentence for sentence in wrong)
    assert any("in the file and nowhere else" in sentence for sentence in wrong)


def test_an_error_nobody_expected_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise duckdb.BinderException("Binder Error: nobody expected this")

    monkeypatch.setattr(Extractor, "_carefully", broken)
    wrong: list[str] = []
    fates = fuzz.run(range(20), wrong.append)
    assert any("nobody expected this" in sentence for sentence in wrong)
    unhandled = [seeds for (*_, fate), seeds in fates.items() if fate == "unhandled exception"]
    assert sum(map(len, unhandled)) > 3
