"""Extraction: one landed day to typed rows, rejects and a ledger line; and what counts as new.

Worlds are a few lines of text in the test itself; expected rows are written by hand, or read by
Python's csv module where worlds are random.
"""

import csv
import datetime as dt
import gzip
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from program import lock

from dagster_project.core import extraction, files
from dagster_project.core.engine import file_literal, literal
from dagster_project.core.exports import Column, ContractError, Export, load_exports
from dagster_project.core.extraction import Extractor, is_declared
from dagster_project.core.lake import FORMATS, Lake
from dagster_project.core.ledger import Extraction, append_to_ledger, read_ledger
from dagster_project.core.rows import SHAPES, SQL_TYPES
from dagster_project.core.staleness import Rules, altered_days, stale_days

DAY = date(2024, 1, 5)
RULES = Rules(first_day=date(2020, 1, 1), max_reject_share=1.0)
HEADER = "invoice_id,amount_minor,paid_at,status,discount,updated_at"
INVOICES = Export(
    system="billing",
    name="invoices",
    kind="append",
    key=("invoice_id",),
    columns=(
        Column("invoice_id", "text"),
        Column("amount_minor", "bigint"),
        Column("paid_at", "timestamp", is_nullable=True),
        Column("status", "text", values=("open", "paid")),
        Column("discount", "decimal", is_nullable=True, minimum=Decimal(0), maximum=Decimal(100)),
        Column("updated_at", "timestamp", is_nullable=True),
    ),
)

Row = tuple[Any, ...]
LOOK = duckdb.connect()


class World:
    """A data folder with one export, and what became of its days."""

    def __init__(self, root: Path, export: Export = INVOICES, rules: Rules = RULES) -> None:
        self.lake, self.export, self.rules = Lake(root), export, rules
        self.folder = self.lake.landing(export.system, export.name)

    def land(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def extract(self, day: date = DAY) -> Extraction:
        with Extractor(self.lake, self.rules) as extractor:
            return extractor.extract_day(self.export, day)

    def extract_rows(self, *lines: str, end: str = "\n") -> Extraction:
        """Land a CSV of these rows under the header, and extract it."""
        self.land(f"{DAY}.csv", end.join([HEADER, *lines]) + end)
        return self.extract()

    def raw(self, day: date = DAY) -> list[Row]:
        """Rows of raw in their order, without the landing date."""
        path = self.lake.raw_day(self.export.system, self.export.name, day)
        return [row[:-1] for row in read(path)]

    def rejects(self) -> list[Row]:
        """(row_number, reason) in order."""
        path = self.lake.rejects_day(self.export.system, self.export.name, DAY)
        return [row[1:3] for row in read(path)] if path.exists() else []

    def stale(self) -> list[date]:
        return stale_days(self.export, self.lake, read_ledger(self.lake), self.rules)


def read(path: Path) -> list[Row]:
    source = f"read_parquet({file_literal(path)}, hive_partitioning = false)"
    return LOOK.execute(f"from {source}").fetchall()


def counts(line: Extraction) -> tuple[int, int, int, int]:
    assert line.is_ok, line.error
    return line.rows_in, line.rows_accepted, line.rows_rejected, line.rows_superseded


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def single(column: Column, root: Path, time_zone: str = "UTC") -> World:
    """A world of one column beside its key."""
    columns = (Column("id", "text"), column)
    return World(root, Export("crm", "things", "append", ("id",), columns, time_zone))


def midnight(year: int, month: int, day: int) -> dt.datetime:
    return dt.datetime(year, month, day)


# --- Formats -------------------------------------------------------------------------------------

TABLE: list[dict[str, Any]] = [
    dict(zip(HEADER.split(","), values, strict=True))
    for values in [
        ("a", "12", "2024-01-01T10:00:00Z", "open", "0.5", "2024-01-02"),
        ("b", "-3", "2024-01-01 10:00:00.25+05:30", "paid", "", ""),
        ("c, d", "9223372036854775807", "", "paid", "100", "2024-01-02T03:04:05"),
    ]
]
TYPED: list[Row] = [
    ("a", 12, dt.datetime(2024, 1, 1, 10), "open", Decimal("0.5"), midnight(2024, 1, 2)),
    ("b", -3, dt.datetime(2024, 1, 1, 4, 30, 0, 250_000), "paid", None, None),
    ("c, d", 2**63 - 1, None, "paid", Decimal(100), dt.datetime(2024, 1, 2, 3, 4, 5)),
]


def encoded(rows: list[dict[str, Any]], extension: str, names: list[str] | None = None) -> bytes:
    """The rows as a file of that format, every value as text."""
    if extension == "parquet":
        return parquet(rows)
    text = io.StringIO(newline="")
    if extension.startswith("csv"):
        writer = csv.DictWriter(text, names or list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    else:
        text.writelines(json.dumps(row) + "\n" for row in rows)
    content = text.getvalue().encode()
    return gzip.compress(content) if extension.endswith(".gz") else content


def parquet(rows: list[dict[str, Any]]) -> bytes:
    names = list(rows[0])
    values = ", ".join(f"({', '.join('?' for _ in names)})" for _ in rows)
    return parquet_of(
        f"select * from (values {values}) as t ({', '.join(names)})",
        [value for row in rows for value in row.values()],
    )


def parquet_of(select: str, values: list[Any] | None = None) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        LOOK.execute(f"copy ({select}) to '{path}' (format parquet)", values or [])
        return path.read_bytes()


@pytest.mark.parametrize("extension", FORMATS)
def test_every_format_gives_the_same_raw_rows(world: World, extension: str) -> None:
    world.land(f"{DAY}.{extension}", encoded(TABLE, extension))
    assert counts(world.extract()) == (3, 3, 0, 0)
    assert world.raw() == TYPED


def test_raw_has_the_contracts_types_and_order_and_the_landing_date(world: World) -> None:
    world.extract_rows("a,1,,open,,")
    path = world.lake.raw_day("billing", "invoices", DAY)
    described = LOOK.execute(f"describe from read_parquet('{path}', hive_partitioning = false)")
    assert [row[:2] for row in described.fetchall()] == [
        ("invoice_id", "VARCHAR"),
        ("amount_minor", "BIGINT"),
        ("paid_at", "TIMESTAMP"),
        ("status", "VARCHAR"),
        ("discount", "DECIMAL(28,12)"),
        ("updated_at", "TIMESTAMP"),
        ("landing_date", "DATE"),
    ]
    assert read(path)[0][-1] == DAY


def test_a_folder_of_parts_may_mix_formats_and_column_orders(world: World) -> None:
    backwards = list(reversed(HEADER.split(",")))
    world.land(f"{DAY}/1.csv", encoded(TABLE[:1], "csv"))
    world.land(f"{DAY}/2.csv.gz", encoded(TABLE[1:2], "csv.gz", backwards))
    world.land(f"{DAY}/3.parquet", encoded(TABLE[2:], "parquet"))
    world.land(f"{DAY}/4.jsonl", "")
    line = world.extract()
    assert (line.files, *counts(line)) == (4, 3, 3, 0, 0)
    assert sorted(world.raw()) == TYPED


def test_a_data_folder_may_have_quotes_and_glob_characters_in_its_name(tmp_path: Path) -> None:
    decoy = tmp_path / "it's a 1 {b} x"
    root = tmp_path / "it's [a] [1] {b} *?"
    decoy.mkdir()
    root.mkdir()
    world = World(root)
    for name in ("[1]*?'.csv", "1x.csv"):
        world.land(f"{DAY}/{name}", f"{HEADER}\n{name[0]},1,,open,,\nx,y,,open,,\n")
    assert counts(world.extract()) == (4, 2, 2, 0)


# --- Line ends, quotes, encodings ----------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_is_read(world: World, end: str) -> None:
    assert counts(world.extract_rows("a,1,,open,,", "b,2,,paid,,", end=end)) == (2, 2, 0, 0)
    assert [row[:2] for row in world.raw()] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("quoted", ["invoice_id", "open", "b", "2024-01-05T00:00:00Z"])
def test_the_last_of_quoted_rows_needs_no_line_end(
    world: World, end: str, last: int, quoted: str
) -> None:
    rows = ["a,1,,open,,2024-01-04T00:00:00Z", "b,2,,paid,,2024-01-05T00:00:00Z"]
    text = end.join([HEADER, *rows]).replace(quoted, f'"{quoted}"')
    world.land(f"{DAY}.csv", (text + end * last).encode())
    assert counts(world.extract()) == (2, 2, 0, 0)
    assert [row[:2] for row in world.raw()] == [("a", 1), ("b", 2)]


def test_mixed_line_ends_are_read_and_those_within_quotes_kept(world: World) -> None:
    world.land(
        f"{DAY}.csv",
        f'{HEADER}\r\n"a\r\nb",1,,open,,\n"c\n\nd",2,,open,,\r\n\r\n\ne,3,,open,,\rf,4,,open,,',
    )
    assert counts(world.extract()) == (4, 4, 0, 0)
    assert [row[0] for row in world.raw()] == ["a\r\nb", "c\n\nd", "e", "f"]


@pytest.mark.parametrize("tail", ["\n\r\n", "\r\n\n", "\n\n\r", "\n\r\nd,4,,open,,"])
def test_mixed_line_ends_at_the_end_of_a_file_with_quotes_are_read(world: World, tail: str) -> None:
    world.land(f"{DAY}.csv", f'\n{HEADER}\n"a",1,,open,,\n"b\n",2,,open,,\n"c",3,,open,,{tail}')
    rows = 3 + tail.count("d")
    assert counts(world.extract()) == (rows, rows, 0, 0)


def test_a_byte_order_mark_is_not_part_of_the_first_column(world: World) -> None:
    world.land(f"{DAY}.csv", b"\xef\xbb\xbf" + f"{HEADER}\na,1,,open,,\n".encode())
    assert counts(world.extract()) == (1, 1, 0, 0)
    world.land(
        f"{DAY}.csv", b"\xef\xbb\xbf" + f'"{HEADER[:10]}"{HEADER[10:]}\na,1,,open,,'.encode()
    )
    assert counts(world.extract()) == (1, 1, 0, 0)


def test_quoted_newlines_commas_and_quotes_are_text(world: World) -> None:
    world.extract_rows('"a\nb, ""c""",1,,open,,')
    assert world.raw()[0][0] == 'a\nb, "c"'


def test_an_empty_value_is_null_whether_quoted_or_not(world: World) -> None:
    assert counts(world.extract_rows('a,1,"",open,,""', "b,2,,open,,")) == (2, 2, 0, 0)
    assert [row[2:] for row in world.raw()] == [(None, "open", None, None)] * 2


@pytest.mark.parametrize(
    "text",
    ["=1+1", "../../etc/passwd", "'; drop table staged; --", "#c", "NULL", " a ", "\\N", "é"],
)
def test_text_that_means_something_elsewhere_stays_text(world: World, text: str) -> None:
    world.extract_rows(f"{text},1,,open,,", "x,bad,,open,,")
    assert [row[0] for row in world.raw()] == [text]


# --- Rows that break the contract ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",1,,open,,", "missing_value: invoice_id"),
        ("a,,,open,,", "missing_value: amount_minor"),
        ("a,many,,open,,", "not_a_bigint: amount_minor"),
        ("a,1,,refunded,,", "not_in_enumeration: status"),
        ("a,1,,Open,,", "not_in_enumeration: status"),
        ("a,1,,open,-0.01,", "out_of_range: discount"),
        ("a,1,,open,100.01,", "out_of_range: discount"),
        ("a,1,yesterday,refunded,,", "not_a_timestamp: paid_at"),
        ("a,1,,open", "malformed_row"),
        ("a,1,,open,,,x", "malformed_row"),
        ('"a"b,1,,open,,', "malformed_row"),
    ],
)
def test_a_bad_row_is_rejected_with_its_first_fault(world: World, row: str, reason: str) -> None:
    assert counts(world.extract_rows("good,1,,open,0,", row, "better,1,,open,100,")) == (3, 2, 1, 0)
    assert world.rejects() == [(2, reason)]
    assert [row[0] for row in world.raw()] == ["good", "better"]


def test_invalid_utf8_and_overlong_lines_are_malformed_rows(world: World) -> None:
    lines = [
        HEADER.encode(),
        b"\xff\xfe,1,,open,,",
        b"a,1,,open,,",
        b"x" * 3_000_000 + b",1,,open,,",
    ]
    world.land(f"{DAY}.csv", b"\n".join(lines))
    assert counts(world.extract()) == (3, 1, 2, 0)
    assert world.rejects() == [(1, "malformed_row"), (3, "malformed_row")]


def test_empty_cells_beyond_the_header_are_no_fault(world: World) -> None:
    assert counts(world.extract_rows("a,1,,open,,,,", '"b",1,,open,,')) == (2, 2, 0, 0)


def test_rejects_say_file_row_reason_and_the_row_as_json(world: World) -> None:
    world.land(f"{DAY}/b.csv", f"{HEADER},extra\na,x,,open,,,'kept'\nshort,1\n")
    world.land(f"{DAY}/a.jsonl", '{"invoice_id": "z", "amount_minor": [1]}\nnot json\n')
    world.extract()
    path = world.lake.rejects_day("billing", "invoices", DAY)
    rejects = {(file, number): (reason, raw) for file, number, reason, raw in read(path)}
    assert list(rejects) == [(f"{DAY}/a.jsonl", n) for n in (1, 2)] + [
        (f"{DAY}/b.csv", n) for n in (1, 2)
    ]
    raws = [json.loads(raw) for _, raw in rejects.values()]
    assert raws[0] == {"invoice_id": "z", "amount_minor": [1]}
    assert raws[1] == "not json"
    assert (raws[2]["amount_minor"], raws[2]["extra"]) == ("x", "'kept'")
    assert raws[3] == "short,1"


def test_no_file_is_written_aside_from_the_statement_that_writes_it(world: World) -> None:
    # A doubt ends the swift way in the midst of writing. One in a hundred times DuckDB then waited
    # for ever for its own asynchronous writes.
    with Extractor(world.lake, RULES) as extractor:
        assert extractor._query("select current_setting('async_threads')") == [(0,)]


def test_blank_lines_between_rows_are_skipped_and_not_counted(world: World) -> None:
    world.extract_rows("a,1,,open,,", "", "", "b,2,,open,,", "")
    assert (counts(world.extract()), len(world.raw())) == ((2, 2, 0, 0), 2)
    world.extract_rows("a,1,,open,,", "", "b,x,,open,,", "", "short", "", "c,x,,open,,")
    assert world.rejects() == [
        (2, "not_a_bigint: amount_minor"),
        (3, "malformed_row"),
        (4, "not_a_bigint: amount_minor"),
    ]


@pytest.mark.parametrize("block", [16, 61])
@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\n\r\n\n\n"])
@pytest.mark.parametrize("kind", ["csv", "csv with quotes", "jsonl"])
def test_blank_lines_are_no_rows_wherever_a_block_of_the_file_ends(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str, end: str, block: int
) -> None:
    monkeypatch.setattr(files, "_BLOCK", block)
    rows = [TABLE[0] | {"invoice_id": f"a{i}"} for i in range(4)]
    rows[2] |= {"amount_minor": "x"}
    extension, is_quoted = kind.split()[0], "quotes" in kind
    lines = encoded(rows, extension).decode().splitlines()
    text = end.join([*lines, "broken"]) + end
    world.land(f"{DAY}.{extension}", text.replace("a1", '"a\n\n1"') if is_quoted else text)
    assert counts(world.extract()) == (5, 3, 2, 0)
    fault = "malformed_row" if extension == "csv" else "invalid_json"
    assert world.rejects() == [(3, "not_a_bigint: amount_minor"), (5, fault)]
    assert [row[0] for row in world.raw()] == ["a0", "a\n\n1" if is_quoted else "a1", "a3"]


def test_row_numbers_count_records_whatever_stands_before_them(world: World) -> None:
    world.extract_rows(
        '"a\nb",1,,open,,',  # 1
        "short",  # 2
        '"c\n\nd",x,,open,,',  # 3
        "e,1,,open,,",  # 4
        "",  # a blank line is no record
        "f,1,,open,,,x",  # 5
        "g",  # 6
        "h,x,,open,,",  # 7
    )
    assert world.rejects() == [
        (2, "malformed_row"),
        (3, "not_a_bigint: amount_minor"),
        (5, "malformed_row"),
        (6, "malformed_row"),
        (7, "not_a_bigint: amount_minor"),
    ]


def test_row_numbers_are_right_far_into_a_large_file(world: World) -> None:
    rows = [f"id{i},{i},,open,," for i in range(200_000)]
    rows[777], rows[123_456], rows[199_999] = "short", "id,x,,open,,", "id,1,,gone,,"
    assert counts(world.extract_rows(*rows)) == (200_000, 199_997, 3, 0)
    assert [number for number, _ in world.rejects()] == [778, 123_457, 200_000]
    assert [row[1] for row in world.raw()] == [
        i for i in range(200_000) if i not in (777, 123_456, 199_999)
    ]


# --- What a value may look like ------------------------------------------------------------------


def accepted(world: World, text: str) -> Any:
    """The value that a text is read as, or the reason why it is not."""
    quoted = '"' + text.replace('"', '""') + '"'
    world.land(f"{DAY}.csv", f"id,{world.export.columns[1].name}\n1,{quoted}\n")
    if counts(world.extract())[1]:
        return world.raw()[0][1]
    [(_, reason)] = world.rejects()
    return reason.split(":")[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("+12", 12),
        ("-12", -12),
        ("12.0", 12),
        ("007", 7),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("99999999999999999999", None),
        ("12.5", None),
        ("1e3", None),
        ("1_000", None),
        ("1,000", None),
        ("0x1F", None),
        ("0b1", None),
        (" 5", None),
        ("-", None),
        ("\uff11", None),
        ("true", None),
    ],
)
def test_a_bigint_is_an_integral_decimal_text(tmp_path: Path, text: str, value: int | None) -> None:
    world = single(Column("n", "bigint"), tmp_path)
    assert accepted(world, text) == ("not_a_bigint" if value is None else value)


@pytest.mark.parametrize(("text", "value"), [("2147483647", 2**31 - 1), ("2147483648", None)])
def test_an_integer_has_32_bits(tmp_path: Path, text: str, value: int | None) -> None:
    world = single(Column("n", "integer"), tmp_path)
    assert accepted(world, text) == ("not_a_integer" if value is None else value)


@pytest.mark.parametrize(
    "text", ["inf", "-Infinity", "nan", "1e400", "1_000.5", "1,5", "0x1p3", "$5", "1.2.3", "12 "]
)
@pytest.mark.parametrize("type_", ["double", "decimal"])
def test_a_number_is_finite_and_plain(tmp_path: Path, type_: str, text: str) -> None:
    assert accepted(single(Column("n", type_), tmp_path), text) == f"not_a_{type_}"


@pytest.mark.parametrize("text", ["1.5", "-0.25", ".5", "2.", "1e-3", "12345"])
def test_a_number_may_have_a_fraction_and_an_exponent(tmp_path: Path, text: str) -> None:
    assert accepted(single(Column("n", "double"), tmp_path / "1"), text) == float(text)
    assert accepted(single(Column("n", "decimal"), tmp_path / "2"), text) == Decimal(text)


def test_a_decimal_has_sixteen_digits_before_its_point(tmp_path: Path) -> None:
    world = single(Column("n", "decimal"), tmp_path)
    assert accepted(world, "9999999999999999.5") == Decimal("9999999999999999.5")
    assert accepted(world, "10000000000000000") == "not_a_decimal"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("t", True),
        ("No", False),
        ("1", True),
        ("0", False),
        ("2", None),
        ("on", None),
        ("1.0", None),
        (" true", None),
    ],
)
def test_a_boolean_is_one_of_a_few_words(tmp_path: Path, text: str, value: bool | None) -> None:
    world = single(Column("b", "boolean"), tmp_path)
    assert accepted(world, text) == ("not_a_boolean" if value is None else value)


NOT_ISO = [
    "2024/01/02",
    "2024-1-2",
    "02.01.2024",
    "20240102",
    "2024-02-30",
    "24-01-02",
    "infinity",
    "epoch",
    "now",
    "0000-01-01",
    "1899-12-31",
    "10000-01-01",
    "2024-01-02 (BC)",
    " 2024-01-02",
]


@pytest.mark.parametrize("text", NOT_ISO)
@pytest.mark.parametrize("type_", ["date", "timestamp"])
def test_a_time_is_iso_8601_of_a_sane_year(tmp_path: Path, type_: str, text: str) -> None:
    assert accepted(single(Column("t", type_), tmp_path), text) == f"not_a_{type_}"


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-02 10:00:00 PST",
        "2024-01-02 10:00:00 Europe/Berlin",
        "2024-01-02T10:00:00+99:00",
        "2024-01-02T25:00:00Z",
        "2024-01-02T10",
        "2024-01-02 10:00 PM",
        "2024-01-02Z",
        "9999-12-31T23:59:59-10:00",
    ],
)
def test_a_timestamp_is_not_a_zones_name_or_an_absurd_offset(tmp_path: Path, text: str) -> None:
    assert accepted(single(Column("t", "timestamp"), tmp_path), text) == "not_a_timestamp"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-01-02", dt.datetime(2024, 1, 2)),
        ("2024-01-02 10:00", dt.datetime(2024, 1, 2, 10)),
        ("2024-01-02T10:00:00Z", dt.datetime(2024, 1, 2, 10)),
        ("2024-01-02T10:00:00.123456Z", dt.datetime(2024, 1, 2, 10, 0, 0, 123_456)),
        ("2024-01-02T10:00:00+05:30", dt.datetime(2024, 1, 2, 4, 30)),
        ("2024-01-02 10:00:00-0800", dt.datetime(2024, 1, 2, 18)),
        ("2024-01-02T10:00:00+01", dt.datetime(2024, 1, 2, 9)),
        ("9999-12-31", dt.datetime(9999, 12, 31)),
        ("1900-01-01", dt.datetime(1900, 1, 1)),
    ],
)
def test_a_timestamp_becomes_utc(tmp_path: Path, text: str, value: dt.datetime) -> None:
    assert accepted(single(Column("t", "timestamp"), tmp_path), text) == value


@pytest.mark.parametrize(
    ("type_", "canonical"),
    [
        ("bigint", ("-120", "9223372036854775807")),
        ("integer", ("120", "-2147483648")),
        ("date", ("2024-01-02", "0044-01-02 (BC)", "10000-01-01", "infinity")),
        (
            "timestamp",
            (
                *("2024-01-02 10:20:30", "2024-01-02 10:20:30.5", "1899-12-31 23:59:59"),
                *("-infinity", "2024-01-02T10:20:30Z", "10000-01-01T10:20:30Z"),
            ),
        ),
    ],
)
def test_the_engines_own_spelling_of_a_value_is_judged_like_any_other(
    tmp_path: Path, type_: str, canonical: tuple[str, ...]
) -> None:
    # Each text with every one character dropped, put in or put in its place.
    texts = {
        text[:i] + put + text[i + drop :]
        for text in canonical
        for i in range(len(text) + 1)
        for put in ("", *"0 9-+:.TZ_e")
        for drop in (0, 1)
    }
    world = single(Column("v", type_), tmp_path)
    rows = sorted(texts - {""})
    world.land(f"{DAY}.csv", "id,v\n" + "".join(f"{i},{text}\n" for i, text in enumerate(rows)))
    world.extract()
    value = f"try_cast(text as {SQL_TYPES[type_]})"
    if type_ == "timestamp":
        value = "make_timestamp(epoch_us(try_cast(text as timestamptz)))"
    if type_ in ("date", "timestamp"):
        bounded = "if(value >= '1900-01-01' and value < '10000-01-01', value, null)"
    else:
        bounded = "value"
    LOOK.execute("set TimeZone = 'UTC'")
    expected = LOOK.execute(
        f"select id, {bounded} as good from (select unnest($1) as id, unnest($2) as text,"
        f" case when regexp_full_match(text, {literal(SHAPES[type_])}) then {value} end as value)"
        " where good is not null",
        [[str(i) for i in range(len(rows))], rows],
    ).fetchall()
    assert 0 < len(expected) < len(rows)
    assert sorted(world.raw()) == sorted(expected)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-01-02", date(2024, 1, 2)),
        ("2024-01-02T00:00:00", date(2024, 1, 2)),
        ("2024-01-02 00:00", date(2024, 1, 2)),
        ("2024-01-02T10:00:00", "not_a_date"),
        ("2024-01-02T00:00:00Z", "not_a_date"),
    ],
)
def test_a_date_may_be_a_midnight_without_offset(tmp_path: Path, text: str, value: object) -> None:
    assert accepted(single(Column("d", "date"), tmp_path), text) == value


@pytest.mark.parametrize(
    ("text", "hour_in_utc"),
    [
        # Berlin goes to summer time on 2024-03-31 at 02:00, and back on 2024-10-27 at 03:00.
        ("2024-03-31 01:30:00", dt.datetime(2024, 3, 31, 0, 30)),
        ("2024-03-31 03:30:00", dt.datetime(2024, 3, 31, 1, 30)),
        ("2024-10-27 01:30:00", dt.datetime(2024, 10, 26, 23, 30)),
        ("2024-10-27 03:30:00", dt.datetime(2024, 10, 27, 2, 30)),
        ("2024-07-01", dt.datetime(2024, 6, 30, 22)),
        ("2024-07-01T00:00:00Z", dt.datetime(2024, 7, 1)),
    ],
)
@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_a_naive_timestamp_is_read_in_the_declared_zone(
    tmp_path: Path, text: str, hour_in_utc: dt.datetime, extension: str
) -> None:
    world = single(Column("t", "timestamp"), tmp_path, "Europe/Berlin")
    content = f"id,t\n1,{text}\n".encode()
    if extension == "parquet":
        native = "timestamptz" if text.endswith("Z") else "timestamp"
        content = parquet_of(f"select '1' as id, {native} '{text}' as t")
    world.land(f"{DAY}.{extension}", content)
    assert counts(world.extract()) == (1, 1, 0, 0)
    assert world.raw() == [("1", hour_in_utc)]


# --- JSONL ---------------------------------------------------------------------------------------


def test_jsonl_values_may_be_json_or_text_and_absent_keys_are_null(world: World) -> None:
    world.land(
        f"{DAY}.jsonl",
        '{"invoice_id": "a", "amount_minor": 12, "status": "open", "discount": 0.5}\r\n'
        "\n"
        '{"status": "open", "amount_minor": "12", "discount": "0.5", "invoice_id": "b"}\n'
        '{"invoice_id": "c", "amount_minor": 12.0, "status": "open", "discount": null}\n'
        '{"invoice_id": 7, "amount_minor": 1, "status": "open", "discount": ""}',
    )
    assert counts(world.extract()) == (4, 4, 0, 0)
    half = Decimal("0.5")
    assert [(r[0], r[1], r[2], r[4]) for r in world.raw()] == [
        ("a", 12, None, half),
        ("b", 12, None, half),
        ("c", 12, None, None),
        ("7", 1, None, None),
    ]


@pytest.mark.parametrize(
    "line", ["garbage", "[1]", "null", '"text"', '{"invoice_id": "b"', "{} {}"]
)
def test_a_line_that_is_no_json_object_is_rejected(world: World, line: str) -> None:
    good = '{"invoice_id": "a", "amount_minor": 1, "status": "open"}'
    world.land(f"{DAY}.jsonl", f"{good}\n\n{line}\n")
    assert counts(world.extract()) == (2, 1, 1, 0)
    assert world.rejects() == [(2, "invalid_json")]


def test_a_nested_json_value_is_text_in_a_text_column_and_refused_elsewhere(world: World) -> None:
    world.land(
        f"{DAY}.jsonl",
        '{"invoice_id": {"a": [1]}, "amount_minor": 1, "status": "open"}\n'
        '{"invoice_id": "b", "amount_minor": [12], "status": "open"}\n'
        '{"invoice_id": "c", "amount_minor": 12.5, "status": "open"}\n'
        '{"invoice_id": "d", "amount_minor": 99999999999999999999, "status": "open"}\n',
    )
    assert counts(world.extract()) == (4, 1, 3, 0)
    assert world.raw()[0][0] == '{"a":[1]}'
    assert {reason for _, reason in world.rejects()} == {"not_a_bigint: amount_minor"}


def test_blank_lines_alone_or_first_are_no_rows(world: World) -> None:
    world.land(f"{DAY}.jsonl", "\n\r\n\n")
    assert counts(world.extract()) == (0, 0, 0, 0)
    world.land(f"{DAY}.jsonl", '\n\n{"invoice_id": "a", "amount_minor": 1, "status": "open"}\nx')
    assert counts(world.extract()) == (2, 1, 1, 0)
    assert world.rejects() == [(2, "invalid_json")]


@pytest.mark.parametrize("extension", ["jsonl", "jsonl.gz"])
def test_an_empty_jsonl_is_a_day_without_rows(world: World, extension: str) -> None:
    world.land(f"{DAY}.{extension}", b"" if extension == "jsonl" else gzip.compress(b""))
    assert counts(world.extract()) == (0, 0, 0, 0)
    assert world.raw() == []


def test_invalid_utf8_in_jsonl_is_a_malformed_row(world: World) -> None:
    good = b'{"invoice_id": "a", "amount_minor": 1, "status": "open"}'
    world.land(f"{DAY}.jsonl", good + b'\n{"invoice_id": "\xff"}\nx\n')
    assert counts(world.extract()) == (3, 1, 2, 0)
    assert world.rejects() == [(2, "malformed_row"), (3, "invalid_json")]


# --- Parquet -------------------------------------------------------------------------------------


def test_parquet_of_other_native_types_is_read_by_value(world: World) -> None:
    world.land(
        f"{DAY}.parquet",
        parquet_of(
            "select * from (values"
            " (1::smallint, 12::double, timestamptz '2024-01-01 10:00+02', 'open'::blob,"
            "  50::utinyint, date '2024-01-02'),"
            " (2, 12.5, null, 'open', null, null),"
            " (3, 'nan', null, 'open', null, null)"
            f") as t ({HEADER})"
        ),
    )
    assert counts(world.extract()) == (3, 1, 2, 0)
    assert world.raw() == [
        ("1", 12, dt.datetime(2024, 1, 1, 8), "open", Decimal(50), midnight(2024, 1, 2))
    ]
    assert world.rejects() == [(2, "not_a_bigint: amount_minor"), (3, "not_a_bigint: amount_minor")]


def test_bytes_beside_the_contract_fail_no_parquet_of_which_a_row_is_refused(world: World) -> None:
    rows = [
        "select '{}' as invoice_id, 1 as amount_minor, null as paid_at, '{}' as status,"
        " null as discount, null as updated_at, {} as logo, encode('Müller') as name".format(*row)
        for row in [("a", "open", "'\\xFF\\x00'::blob"), ("b", "nix", "'\\xFF\\x00'::blob")]
    ]
    world.land(f"{DAY}.parquet", parquet_of(" union all ".join(rows)))
    line = world.extract()
    assert (counts(line), line.drift) == ((2, 1, 1, 0), ("logo", "name"))
    assert world.rejects() == [(2, "not_in_enumeration: status")]
    [rejected] = read(world.lake.rejects_day("billing", "invoices", DAY))
    raw = json.loads(rejected[3])
    assert (raw["logo"], raw["name"], raw["status"]) == (r"\xFF\x00", "Müller", "nix")


def test_bytes_that_are_no_text_refuse_their_row_of_a_parquet_alone(world: World) -> None:
    # As writers do that mark no column as text.
    rows = [
        ("encode('Müller, \\x41')", "encode('12')", "encode('open')"),
        ("'M\\xFCller'::blob", "encode('12')", "encode('nix')"),
        ("encode('b')", "'\\xFF'::blob", "encode('open')"),
        ("''::blob", "encode('12')", "encode('open')"),
        ("encode('c')", "null::blob", "encode('open')"),
        ("encode('d')", "encode('12.5')", "encode('open')"),
        ("encode('e')", "encode('12')", "'\\xFF'::blob"),
    ]
    select = " union all ".join(
        f"select {id_} as invoice_id, {amount} as amount_minor, ''::blob as paid_at,"
        f" {status} as status, null::blob as discount, encode('2024-01-02') as updated_at"
        for id_, amount, status in rows
    )
    world.land(f"{DAY}.parquet", parquet_of(select))
    assert counts(world.extract()) == (7, 1, 6, 0)
    assert world.raw() == [("Müller, \\x41", 12, None, "open", None, midnight(2024, 1, 2))]
    assert world.rejects() == [
        (2, "not_a_text: invoice_id"),
        (3, "not_a_bigint: amount_minor"),
        (4, "missing_value: invoice_id"),
        (5, "missing_value: amount_minor"),
        (6, "not_a_bigint: amount_minor"),
        (7, "not_a_text: status"),
    ]


def breaks(db: duckdb.DuckDBPyConnection, content: bytes) -> bool:
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        file.write(content)
        file.flush()
        try:
            db.execute(f"from read_parquet('{file.name}')").fetchall()
        except duckdb.InternalException:
            return True
        except duckdb.Error:
            return False
    return False


def test_a_file_that_breaks_duckdb_down_fails_its_day_alone(world: World) -> None:
    good = encoded(TABLE, "parquet")
    # A size below zero, wherever it stands in a header.
    damaged = (good[:at] + b"\x95" + good[at + 1 :] for at in range(4, len(good) - 8))
    with duckdb.connect() as db:
        world.land(f"{DAY}.parquet", next(content for content in damaged if breaks(db, content)))
    world.land("2024-01-06.parquet", good)
    with Extractor(world.lake, world.rules) as extractor:
        assert not extractor.extract_day(world.export, DAY).is_ok
        assert extractor.extract_day(world.export, date(2024, 1, 6)).is_ok
    assert world.stale() == []


def test_a_parquet_whose_texts_are_not_marked_as_such_is_read_swiftly(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Extractor, "_carefully")
    cells = ", ".join(f"encode(nullif(?, '')) as {name}" for name in TABLE[0])
    for number, row in enumerate(TABLE):
        content = parquet_of(f"select {cells}", list(row.values()))
        world.land(f"{DAY}/{number}.parquet", content)
    assert counts(world.extract()) == (3, 3, 0, 0)
    assert sorted(world.raw()) == TYPED


def test_a_floating_number_of_a_parquet_is_no_text(world: World) -> None:
    # As pandas writes integers with gaps, and a column of gaps alone.
    select = " union all ".join(
        f"select {id_} as invoice_id, 1 as amount_minor, null::double as paid_at, 'open' as status,"
        " null::double as discount, null::float as updated_at"
        for id_ in ("1::double", "12345678901234567::double", "'nan'::double", "null")
    )
    world.land(f"{DAY}.parquet", parquet_of(select))
    assert counts(world.extract()) == (4, 0, 4, 0)
    assert world.rejects() == [
        *((number, "not_a_text: invoice_id") for number in (1, 2, 3)),
        (4, "missing_value: invoice_id"),
    ]


def test_a_column_of_gaps_alone_is_empty_whatever_its_type_in_a_parquet(tmp_path: Path) -> None:
    world = single(Column("note", "text", is_nullable=True), tmp_path)
    world.land(f"{DAY}.parquet", parquet_of("select '1' as id, null::double as note"))
    assert counts(world.extract()) == (1, 1, 0, 0)
    assert world.raw() == [("1", None)]


def test_a_number_of_a_jsonl_is_text_as_it_is_written(world: World) -> None:
    numbers = ["1", "1.0", "12345678901234567", "123456789012345678901"]
    world.land(
        f"{DAY}.jsonl",
        "".join(f'{{"invoice_id": {n}, "amount_minor": 1, "status": "open"}}\n' for n in numbers),
    )
    assert counts(world.extract()) == (4, 4, 0, 0)
    assert [row[0] for row in world.raw()] == numbers


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("double", "'nan'::double"),
        ("double", "'inf'::double"),
        ("timestamp", "'infinity'::timestamp"),
        ("timestamp", "'-infinity'::timestamptz"),
        ("timestamp", "timestamp_ns '1800-01-01'"),
        ("date", "'infinity'::date"),
        ("date", "date '0001-01-01'"),
    ],
)
def test_parquet_values_that_no_text_could_have_are_refused(
    tmp_path: Path, type_: str, value: str
) -> None:
    world = single(Column("x", type_), tmp_path)
    world.land(f"{DAY}.parquet", parquet_of(f"select '1' as id, {value} as x"))
    assert counts(world.extract()) == (1, 0, 1, 0)
    assert world.rejects() == [(1, f"not_a_{type_}: x")]


def test_parquet_row_numbers_hold_across_row_groups(world: World) -> None:
    world.land(
        f"{DAY}.parquet",
        parquet_of(
            "select 'i' || range as invoice_id, if(range = 250000, null, range) as amount_minor,"
            " null as paid_at, 'open' as status, null as discount, null as updated_at"
            " from range(300000)"
        ),
    )
    assert counts(world.extract()) == (300_000, 299_999, 1, 0)
    assert world.rejects() == [(250_001, "missing_value: amount_minor")]


# --- Files that break the contract as a whole ----------------------------------------------------

GOOD = f"{HEADER}\na,1,,open,,\n".encode()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (".csv", b"invoice_id,status\na,open\n", "missing column amount_minor, paid_at, discount"),
        (".csv", GOOD.replace(b",", b";"), "wrong delimiter, fields are separated by semicolons"),
        (".csv", GOOD.replace(b",", b"\t"), "wrong delimiter, fields are separated by tabs"),
        (".csv", b"", "is empty, there is not even a header"),
        (".csv", b"\xef\xbb\xbf\r\n", "is empty, there is not even a header"),
        (".csv.gz", gzip.compress(b""), "is empty, there is not even a header"),
        (
            ".csv",
            HEADER.encode() + b",status\na,1,,open,,,paid\n",
            "names columns more than once (status)",
        ),
        (".csv", GOOD.decode().encode("utf-16"), "is not UTF-8"),
        (".csv", GOOD + b'b,1,"2024,open,,\nc,1,,open,,\n', "quote is opened and never closed"),
        (".csv", GOOD + b'b,1,,open,,"', "quote is opened and never closed"),
        (".csv", b'"a\nb",status\n1,2\n', "missing column invoice_id"),
        (".csv", b"status,a\x07\x1b[2Jb\n", r"(the header is: status, a\x07\x1b[2Jb)"),
        (".csv", b"status," + b",".join(b"x" * 900 for _ in range(900)), "xxx..."),
        (".csv", b"Ann,Ann,ann@example.com\n", "csv: no header, the first line names none of its"),
        (".csv", HEADER.encode() + b"," * 70_000 + b"\na,1,,open,,\n", "has 70,006 columns"),
        (".csv.gz", gzip.compress(GOOD * 99)[:-20], "truncated gzip"),
        (".csv.gz", gzip.compress(GOOD)[:-4], "truncated gzip"),
        (".csv.gz", b"", "truncated gzip, the file ends before its data does"),
        (".jsonl.gz", b"", "truncated gzip, the file ends before its data does"),
        (".csv.gz", gzip.compress(GOOD)[:-8] + bytes(8), "not a sound gzip file (CRC check failed"),
        (".jsonl.gz", b"{}\n", "not a sound gzip file (Not a gzipped file)"),
        (".parquet", b"PAR1", "read as parquet (File too small to be a Parquet file)"),
        (".parquet", encoded(TABLE, "parquet")[:-9], "(No magic bytes found at end of file)"),
        (".parquet", b"", "cannot be read as parquet (File too small to be a Parquet file)"),
        (".parquet", parquet_of("select 1 as invoice_id"), "missing column amount_minor"),
        ("/a.txt", GOOD, "the name ends in none of csv"),
        ("/deeper/a.csv", GOOD, "a day folder holds files"),
    ],
)
def test_a_file_at_fault_fails_its_day_with_one_sentence(
    world: World, name: str, content: bytes, sentence: str
) -> None:
    world.land(f"{DAY}{name}", content)
    line = world.extract()
    assert line.status == "failed"
    assert sentence in (line.error or "")
    assert (line.error or "").isprintable()
    assert len(line.error or "") < 1000
    assert (line.rows_in, line.rows_accepted, line.rows_rejected) == (0, 0, 0)
    assert not world.lake.raw_day("billing", "invoices", DAY).exists()


def test_a_parquet_corrupt_in_its_middle_fails_its_day(world: World) -> None:
    content = bytearray(
        parquet_of(
            "select md5(range::text) as invoice_id, range as amount_minor, null as paid_at,"
            " 'open' as status, null as discount, null as updated_at from range(20000)"
        )
    )
    content[1000:200_000] = bytes(199_000)
    world.land(f"{DAY}.parquet", bytes(content))
    assert "cannot be read as parquet" in (world.extract().error or "")


def test_a_parquet_corrupt_beside_its_contract_fails_once_a_row_is_to_be_shown(
    world: World,
) -> None:
    content = parquet_of(
        "select range::text as invoice_id, if(range = 5, null, 1) as amount_minor, null as paid_at,"
        " 'open' as status, null as discount, null as updated_at, md5(range::text) as beside"
        " from range(20000)"
    )
    at = content.index(b"PAR1", 4) // 2
    world.land(f"{DAY}.parquet", content[:at] + bytes(9999) + content[at + 9999 :])
    assert "cannot be read as parquet" in (world.extract().error or "")


@pytest.mark.parametrize("extension", ["csv.gz", "jsonl.gz", "parquet"])
def test_a_file_that_unpacks_beyond_the_limit_is_refused_until_the_limit_is_raised(
    world: World, extension: str
) -> None:
    content = encoded(TABLE * 3000, extension)
    world.rules = replace(RULES, max_unpacked_bytes=50_000)
    assert len(content) < 50_000
    world.land(f"{DAY}.{extension}", content)
    line = world.extract()
    assert line.error == f"{DAY}.{extension}: holds more than 50,000 bytes once unpacked"
    assert world.stale() == []
    world.rules = RULES
    assert world.stale() == [DAY]
    assert counts(world.extract()) == (9000, 3, 0, 8997)


def test_parts_of_strange_names_and_kinds_are_faults_of_their_day_alone(world: World) -> None:
    folder = world.folder / str(DAY)
    for name in (b"\xff.csv", b"line\nbreak.csv", b"'; drop table x; --.csv", b"*.csv"):
        world.land(f"{DAY}/x", GOOD).replace(folder / os.fsdecode(name))
        line = world.extract()
        assert line.is_ok or (line.error or "").isprintable()
        assert world.stale() == []
        (folder / os.fsdecode(name)).unlink()
    (folder / "nowhere.csv").symlink_to("/nowhere")
    (folder / "itself.csv").symlink_to("itself.csv")
    os.mkfifo(folder / "pipe.csv")
    assert world.stale() == [DAY]
    assert "a day folder holds files" in (world.extract().error or "")
    assert world.stale() == []


def attempts(world: World) -> list[Row]:
    """(status, names of the files) of each attempt, as dbt reads the ledger."""
    project = yaml.safe_load((Path(__file__).parent.parent / "dbt" / "dbt_project.yml").read_text())
    source = project["sources"]["customer_success"]["staging"]["lake"]["+meta"]["external_location"]
    for said, meant in (
        ("{{ env_var('DATA_DIR') }}", str(world.lake.root)),
        ("{{ '{{' }}", "{"),
        ("{{ '}}' }}", "}"),
    ):
        source = source.replace(said, meant)
    rows = LOOK.execute(f"select status, landed ->> '$[*][0]' from {source} order by seq")
    return rows.fetchall()


@pytest.mark.parametrize("name", [b"M\xfcller.csv", b"\xed\xb3\xbc.csv", b"\xff.csv"])
def test_a_day_of_a_name_that_is_no_text_is_told_of_in_the_ledger(
    world: World, name: bytes
) -> None:
    file = world.land(f"{DAY}/x", GOOD)
    file = file.rename(file.with_name(os.fsdecode(name)))
    # Their text is that of the bytes above, and the bytes are not.
    named_alike = [ascii(name)[2:-1], ascii(os.fsdecode(name))[1:-1]]
    for like in named_alike:
        world.land(f"{DAY}/{like}", GOOD)
    assert not world.extract().is_ok
    assert world.stale() == []
    file.unlink()
    assert world.stale() == [DAY]
    world.extract()
    [(failed, names), (ok, others)] = attempts(world)
    assert (failed, ok) == ("failed", "ok")
    assert (len(set(names)), len(set(names) - set(others))) == (3, 1)


def test_a_file_that_cannot_be_read_fails_its_day_alone_until_it_can_be(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = world.land(f"{DAY}.csv", GOOD)
    with monkeypatch.context() as patch:
        lock(patch, "open", file)
        assert world.extract().error == f"{DAY}.csv: cannot be read (Permission denied)"
        assert world.stale() == []
    # Rights and mounts leave no trace in what is compared each night.
    assert world.stale() == [DAY]
    assert world.extract().is_ok
    assert world.stale() == []
    # Opens for root as well, and says no when it is read.
    file.unlink()
    file.symlink_to("/proc/self/mem")
    assert world.extract().error == f"{DAY}.csv: cannot be read (Input/output error)"


def test_a_day_folder_that_cannot_be_listed_fails_its_day_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = world.land(f"{DAY}/part.csv", GOOD).parent
    with monkeypatch.context() as patch:
        lock(patch, "iterdir", folder)
        assert world.stale() == [DAY]
        assert world.extract().error == f"{DAY}: cannot be read (Permission denied)"
        assert world.stale() == []
    assert world.stale() == [DAY]
    assert world.extract().is_ok


@pytest.mark.parametrize("extension", ["csv", "jsonl"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_a_line_without_end_is_not_read_whole_but_fails_its_day(
    world: World, monkeypatch: pytest.MonkeyPatch, extension: str, end: str
) -> None:
    monkeypatch.setattr(files, "_GLIMPSE", 16)
    monkeypatch.setattr(files, "_BLOCK", 32)
    monkeypatch.setattr(files, "_LONGEST_RECORD", 200)
    row = {**TABLE[0], "discount": ""}
    length = len(encoded([row], extension).splitlines()[-1])
    longest = row | {"invoice_id": "a" * (201 - length)}
    # Read carefully, because there is a bad row, and mended, because there are two line ends.
    lines = encoded([longest, row | {"status": "gone"}, longest], extension).splitlines()
    lines[-2] += b"\r"
    world.land(f"{DAY}.{extension}", b"\n".join(lines) + end.encode())
    assert counts(world.extract()) == (3, 1, 1, 1)
    world.land(f"{DAY}.{extension}", b"\n".join(lines) + b" " + end.encode())
    assert world.extract().error == f"{DAY}.{extension}: no line feed within 200 bytes"


def test_a_quoted_field_may_hold_more_than_the_longest_line(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_GLIMPSE", 16)
    monkeypatch.setattr(files, "_LONGEST_RECORD", 200)
    text = "a line\n" * 99
    assert counts(world.extract_rows(f'"{text}",1,,open,,')) == (1, 1, 0, 0)
    assert world.raw()[0][0] == text


@pytest.mark.parametrize("size", [16, 100])
def test_of_a_line_too_long_no_more_is_read_than_tells_so(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(files, "_LONGEST_RECORD", 200)
    source = io.BytesIO(b"short\n" + b"x" * 9_999)
    with pytest.raises(files.FileFault, match=r"^x\.csv: no line feed within 200"):
        list(files._lines("x.csv", source, size))
    assert source.tell() <= 300


def test_one_bad_part_fails_the_whole_day(world: World) -> None:
    world.land(f"{DAY}/1.csv", GOOD)
    world.land(f"{DAY}/2.csv", b"")
    assert world.extract().error == f"{DAY}/2.csv: is empty, there is not even a header"


def test_a_header_alone_is_a_day_without_rows(world: World) -> None:
    for content in (HEADER, HEADER + "\n", HEADER + "\r\n\r\n", f'"{HEADER[:10]}"{HEADER[10:]}\n'):
        world.land(f"{DAY}.csv", content)
        assert counts(world.extract()) == (0, 0, 0, 0)
        assert world.raw() == []


def test_unknown_columns_are_kept_out_and_reported_as_drift(world: World) -> None:
    world.land(f"{DAY}/1.csv", f"zz,{HEADER}\n1,a,1,,open,,\n")
    world.land(f"{DAY}/2.jsonl", '{"invoice_id":"b","amount_minor":1,"status":"open","yy":1}\nx\n')
    line = world.extract()
    assert line.drift == ("yy", "zz")
    assert [len(row) for row in world.raw()] == [6, 6]


def test_keys_of_lines_without_any_contracted_column_are_no_columns(world: World) -> None:
    good = '{"invoice_id": "a", "amount_minor": 1, "status": "open", "yy": 1}'
    world.land(f"{DAY}.jsonl", f'{good}\n{{"user0@example.com": {{"status": "open"}}}}\n["zz"]\n')
    assert world.extract().drift == ("yy",)


@pytest.mark.parametrize("line", ["", "not json\n", "\xff\n"])
def test_jsonl_of_more_columns_than_anybody_means_fails_its_day(world: World, line: str) -> None:
    rows = [
        json.dumps({"invoice_id": f"{i}", "amount_minor": 1, "status": "open", f"{i}@b.c": i})
        for i in range(5_000)
    ]
    content = "\n".join(rows[:4_997]) + "\n" + line
    world.land(f"{DAY}.jsonl", content.encode("latin-1"))
    assert len(world.extract().drift) == 4_997
    content = "\n".join(rows) + "\n" + line
    world.land(f"{DAY}.jsonl", content.encode("latin-1"))
    failed = world.extract()
    assert failed.error == f"{DAY}.jsonl: has more than 5,000 columns"
    assert failed.drift == ()


def test_the_parts_of_a_day_have_not_too_many_columns_between_them(world: World) -> None:
    for name, first in (("1.csv", 0), ("2.csv", 3_000)):
        more = ",".join(f"c{i}" for i in range(first, first + 3_000))
        world.land(f"{DAY}/{name}", f"{HEADER},{more}\n")
    failed = world.extract()
    assert failed.error == f"{DAY}/2.csv: has, with the files before it, more than 5,000 columns"
    assert failed.drift == ()


def test_an_unknown_column_of_endless_name_is_cut_short(world: World) -> None:
    for name, content in (
        ("csv", f"{HEADER},{'x' * 999}\na,1,,open,,,\n"),
        ("jsonl", f'{{"invoice_id":"b","amount_minor":1,"status":"open","{"x" * 999}":1}}\n'),
    ):
        path = world.land(f"{DAY}.{name}", content)
        assert world.extract().drift == ("x" * 200,)
        path.unlink()


def test_a_day_that_is_refused_names_no_columns(world: World) -> None:
    world.rules = replace(RULES, max_reject_share=0.5)
    world.land(f"{DAY}.csv", f"{HEADER},ann@example.com\na,x,,open,,,1\n")
    line = world.extract()
    assert (line.status, line.drift) == ("failed", ())


def test_a_day_with_too_many_rejects_fails_and_still_shows_them(world: World) -> None:
    world.rules = replace(RULES, max_reject_share=0.5)
    assert counts(world.extract_rows("a,1,,open,,", "b,x,,open,,")) == (2, 1, 1, 0)
    line = world.extract_rows("c,1,,open,,", "d,x,,open,,", "e,x,,open,,")
    assert line.error == (
        "2 of 3 rows were rejected, more than the allowed share of 0.5;"
        " most often not_a_bigint: amount_minor (2 rows)"
    )
    assert (line.status, line.rows_in) == ("failed", 0)
    assert [number for number, _ in world.rejects()] == [2, 3]
    assert [row[0] for row in world.raw()] == ["a"]


# --- The same key again --------------------------------------------------------------------------


def test_keys_that_duckdb_hashes_alike_are_not_looked_at_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alike = "evt-1790-19627-1", "evt-1799-19627-6"
    [(are_alike,)] = LOOK.execute("select hash(?) = hash(?)", alike).fetchall()
    assert are_alike
    monkeypatch.delattr(Extractor, "_less_superseded")
    world.land(f"{DAY}.csv", HEADER + "".join(f"\n{key},1,,open,," for key in alike))
    assert counts(world.extract()) == (2, 2, 0, 0)


def test_identical_rows_are_superseded_by_one(world: World) -> None:
    assert counts(
        world.extract_rows(
            "a,1,2024-01-01,open,1,", "a,1,2024-01-01T00:00Z,open,1.0,", "b,1,,open,,"
        )
    ) == (3, 2, 0, 1)
    assert [row[0] for row in world.raw()] == ["a", "b"]


def test_the_newest_version_of_a_key_supersedes_the_others(world: World) -> None:
    assert counts(
        world.extract_rows(
            "a,2,,open,,2024-01-02",
            "a,3,,open,,2024-01-03",
            "a,1,,open,,",
            "a,3,,open,,2024-01-03",
            "b,1,,open,,",
            "b,2,,open,,2020-01-01",
        )
    ) == (6, 2, 0, 4)
    assert [row[:2] for row in world.raw()] == [("a", 3), ("b", 2)]


def test_rows_of_a_key_that_disagree_on_the_newest_version_are_all_rejected(world: World) -> None:
    assert counts(
        world.extract_rows(
            "a,1,,open,,2024-01-03",
            "a,2,,open,,2024-01-03",
            "a,0,,open,,2024-01-01",
            "b,1,,open,,",
            "b,2,,open,,",
            "b,2,,open,,",
            "c,1,,open,,",
        )
    ) == (7, 1, 6, 0)
    assert world.rejects() == [(n, "conflicting_key") for n in range(1, 7)]


def test_a_rejected_row_takes_no_part_in_the_strife_of_its_key(world: World) -> None:
    assert counts(world.extract_rows("a,1,,open,,", "a,x,,open,,2024-01-09")) == (2, 1, 1, 0)
    assert [row[1] for row in world.raw()] == [1]


def test_without_updated_at_different_content_is_a_conflict(tmp_path: Path) -> None:
    world = single(Column("n", "integer"), tmp_path)
    world.land(f"{DAY}/1.csv", "id,n\na,1\nb,1\n")
    world.land(f"{DAY}/2.csv", "id,n\na,2\nb,1\n")
    assert counts(world.extract()) == (4, 1, 2, 1)
    assert world.raw() == [("b", 1)]


# --- Replacing days, the ledger, what is new -----------------------------------------------------


def test_the_same_files_give_the_same_raw_bytes(world: World) -> None:
    world.extract_rows('"q",1,,open,,', "b,x,,open,,", "a,1,,open,,", "a,1,,open,,")
    paths = [world.lake.raw_day("billing", "invoices", DAY)]
    paths.append(world.lake.rejects_day("billing", "invoices", DAY))
    before = [path.read_bytes() for path in paths]
    world.extract()
    assert [path.read_bytes() for path in paths] == before


def test_a_corrected_file_replaces_the_day_and_its_rejects(world: World) -> None:
    world.extract_rows("a,1,,open,,", "b,x,,open,,")
    assert world.stale() == []
    world.land(f"{DAY}.csv", f"{HEADER}\nb,2,,open,,\n")
    assert world.stale() == [DAY]
    world.extract()
    assert [row[0] for row in world.raw()] == ["b"]
    assert world.rejects() == []


def test_a_failed_correction_keeps_the_last_good_raw(world: World) -> None:
    good = world.extract_rows("a,1,,open,,")
    world.land(f"{DAY}.csv", "nonsense\n")
    failed = world.extract()
    assert [row[0] for row in world.raw()] == ["a"]
    state = read_ledger(world.lake)["billing", "invoices", DAY]
    assert (state.newest, state.newest_ok) == (failed, good)
    assert world.stale() == []


def test_a_day_that_only_was_touched_is_not_stale_nor_hashed_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.extract_rows("a,1,,open,,")
    os.utime(world.folder / f"{DAY}.csv", (1, 1))
    assert world.stale() == []
    monkeypatch.setattr("dagster_project.core.ledger.sha256_of", None)
    assert world.stale() == []


def test_content_of_the_same_size_and_other_mtime_is_found_changed(world: World) -> None:
    world.extract_rows("a,1,,open,,")
    world.land(f"{DAY}.csv", f"{HEADER}\na,2,,open,,\n")
    os.utime(world.folder / f"{DAY}.csv", (1, 1))
    assert world.stale() == [DAY]


def test_a_part_more_or_less_makes_the_day_stale(world: World) -> None:
    world.land(f"{DAY}/1.csv", GOOD)
    world.extract()
    extra = world.land(f"{DAY}/2.csv", GOOD)
    assert world.stale() == [DAY]
    extra.unlink()
    assert world.stale() == []


def test_another_contract_or_another_share_makes_the_day_stale(world: World) -> None:
    world.extract_rows("a,1,,open,,", "b,x,,open,,")
    assert world.stale() == []
    world.rules = replace(RULES, max_reject_share=0.9)
    assert world.stale() == [DAY]
    world.rules = RULES
    world.export = replace(INVOICES, time_zone="Europe/Berlin")
    assert world.stale() == [DAY]


def test_another_share_does_not_concern_a_day_without_rejects(world: World) -> None:
    world.extract_rows("a,1,,open,,")
    world.rules = replace(RULES, max_reject_share=0.9)
    assert world.stale() == []


def test_a_day_whose_raw_data_is_gone_is_stale(world: World) -> None:
    world.extract_rows("a,1,,open,,")
    world.lake.raw_day("billing", "invoices", DAY).unlink()
    assert world.stale() == [DAY]


def test_a_day_before_the_first_day_is_refused_once_with_a_sentence(world: World) -> None:
    world.rules = replace(RULES, first_day=date(2024, 2, 1))
    line = world.extract_rows("a,1,,open,,")
    assert line.error == "2024-01-05 lies before the first day, 2024-02-01"
    assert world.stale() == []
    world.rules = RULES
    assert world.stale() == [DAY]


@pytest.mark.parametrize("comes_back", [False, True])
@pytest.mark.parametrize("step", ["put", "append_to_ledger"])
def test_a_crash_between_two_steps_of_the_commit_heals(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, comes_back: bool
) -> None:
    world.extract_rows("a,1,,open,,")
    file = world.land(f"{DAY}.csv", f"{HEADER}\nb,1,,open,,\n")

    def crash(_: object, what: object) -> None:
        if isinstance(what, Extraction) and not what.is_ok:
            return append_to_ledger(world.lake, what)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extraction, step, crash)
        with pytest.raises(KeyboardInterrupt):
            world.extract()
    assert [row[0] for row in world.raw()] == (["a"] if step == "put" else ["b"])
    if comes_back:
        file.write_text(file.read_text().replace("b,1", "a,1"))
    assert world.stale() == [DAY]
    world.extract()
    assert [row[0] for row in world.raw()] == (["a"] if comes_back else ["b"])
    assert not (world.lake.temporary / "extraction").exists()


def test_a_torn_ledger_line_is_passed_over_and_cut_off(world: World) -> None:
    first = world.extract_rows("a,1,,open,,")
    with world.lake.ledger.open("ab") as file:
        file.write(b'{"system": "billing", "exp')
    assert read_ledger(world.lake)["billing", "invoices", DAY].newest == first
    append_to_ledger(world.lake, first)
    lines = [json.loads(line) for line in world.lake.ledger.read_text().splitlines()]
    assert len(lines) == 2
    assert lines[0]["seq"] < lines[1]["seq"]
    assert lines[1]["landing_date"] == "2024-01-05"


def test_files_that_change_while_they_are_read_fail_the_day(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_project.core.files import prepare

    def growing(number: int, file: str, path: Path, *rest: Any) -> Any:
        part = prepare(number, file, path, *rest)
        path.write_bytes(path.read_bytes() + b"b,1,,open,,\n")
        return part

    with monkeypatch.context() as patch:
        patch.setattr(extraction, "prepare", growing)
        assert world.extract_rows("a,1,,open,,").error == "the files changed while they were read"
    assert world.stale() == [DAY]


def test_a_day_whose_extraction_breaks_off_has_failed_and_is_tried_again(world: World) -> None:
    assert world.extract_rows("a,1,,open,,").is_ok
    before, folder = world.raw(), world.lake.raw_day("billing", "invoices", DAY).parent
    aside = folder.rename(folder.with_name("aside"))
    folder.write_text("not a folder")  # as one that may not be written, also to root
    with pytest.raises(OSError, match="exists"):
        world.extract()
    folder.unlink()
    aside.rename(folder)
    state = read_ledger(world.lake)["billing", "invoices", DAY]
    assert (state.newest.is_ok, state.newest_ok is not None) == (False, True)
    assert "File exists" in (state.newest.error or "")
    assert world.raw() == before
    assert world.stale() == [DAY]
    assert world.extract().is_ok
    assert world.stale() == []


def test_a_day_that_goes_while_it_is_read_leaves_no_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def going(number: int, file: str, path: Path, *rest: Any) -> files.Part:
        part = files.prepare(number, file, path, *rest)
        path.unlink()
        return part

    monkeypatch.setattr(extraction, "prepare", going)
    with pytest.raises(extraction.GoneError):
        world.extract_rows("a,1,,open,,")
    assert read_ledger(world.lake) == {}


def test_a_day_that_was_not_read_to_its_end_is_not_altered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(extraction, "put", full)
        with pytest.raises(OSError, match="No space left"):
            world.extract_rows("a,1,,open,,")
    assert altered_days(world.export, world.lake, read_ledger(world.lake)) == []


def test_a_defect_is_named_in_the_ledger_without_what_it_quotes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*_: object) -> None:
        raise extraction.AccountingError("billing/invoices: 'Jane Doe'")

    monkeypatch.setattr(Extractor, "_accounted", defect)
    with pytest.raises(extraction.AccountingError):
        world.extract_rows("a,1,,open,,", "a,1,,open,,")
    [line] = (state.newest for state in read_ledger(world.lake).values())
    assert line.error == "the extraction broke off: AccountingError"


def test_a_full_disk_raises_and_is_not_blamed_on_the_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dagster_project.core.files.shutil.copyfileobj", full)
    world.land(f"{DAY}.csv", GOOD + b'"b",1,,open,,')
    with pytest.raises(OSError, match="No space left"):
        world.extract()
    [line] = (state.newest for state in read_ledger(world.lake).values())
    assert line.error == "The disk is full, or may not be used further"
    assert world.stale() == [DAY]


def test_an_export_that_never_arrived_has_a_typed_empty_table(world: World) -> None:
    with Extractor(world.lake, RULES) as extractor:
        extractor.ensure_empty(INVOICES)
        path = world.lake.raw_empty("billing", "invoices")
        before = path.stat().st_ino
        extractor.ensure_empty(INVOICES)
        assert path.stat().st_ino == before
        assert is_declared(INVOICES, world.lake)
        other = replace(INVOICES, columns=(*INVOICES.columns, Column("note", "text", True)))
        assert not is_declared(other, world.lake)
        extractor.ensure_empty(other)
    described = LOOK.execute(f"describe from '{path}'").fetchall()
    assert [row[1] for row in described][-3:] == ["TIMESTAMP", "VARCHAR", "DATE"]
    assert read(path) == []


# --- Contracts -----------------------------------------------------------------------------------

CONTRACT = """
sources:
  - name: billing
    tables:
      - name: fx_rates
        config: {meta: {kind: append, key: [rate_date, currency], time_zone: Europe/Berlin}}
        columns:
          - {name: rate_date, data_type: date}
          - {name: currency, data_type: text, config: {tags: [x], meta: {values: [EUR, USD]}}}
          - name: base_per_unit
            data_type: decimal
            config: {meta: {minimum: 0.1, nullable: true}}
      - {name: not_an_export}
"""


def declare(folder: Path, text: str) -> Path:
    (folder / "billing").mkdir()
    (folder / "billing" / "_sources.yml").write_text(text)
    return folder


def test_a_sources_yaml_is_read_as_contracts(tmp_path: Path) -> None:
    [(name, export)] = load_exports(declare(tmp_path, CONTRACT)).items()
    assert (name, export.key, export.time_zone) == (
        "billing/fx_rates",
        ("rate_date", "currency"),
        "Europe/Berlin",
    )
    assert export.columns == (
        Column("rate_date", "date"),
        Column("currency", "text", values=("EUR", "USD")),
        Column("base_per_unit", "decimal", is_nullable=True, minimum=Decimal("0.1")),
    )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("append", "appended", "kind is one of snapshot, append"),
        ("rate_date, currency]", "day]", "day is not one of its columns"),
        ("rate_date, currency]", "base_per_unit]", "may not be nullable"),
        ("Europe/Berlin", "Berlin", "time_zone 'Berlin' is not known"),
        ("data_type: date", "data_type: day", "rate_date: data_type is one of text"),
        ("nullable: true", "nulable: true", "base_per_unit: unknown meta: nulable"),
        ("[EUR, USD]", "[EUR, no]", "currency: values is a list of texts"),
        ("minimum: 0.1", "minimum: low", "base_per_unit: "),
        ("name: currency", "name: rate_date", "a column is declared twice"),
        ("sources:", "sources: [", "is not YAML"),
    ],
)
def test_a_malformed_contract_is_refused(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        load_exports(declare(tmp_path, CONTRACT.replace(old, new)))


REAL = load_exports(Path(__file__).parent.parent / "dbt" / "models" / "staging")


@pytest.mark.parametrize(
    ("rate", "is_taken"),
    [("0.0000009", True), ("0.000000000001", True), ("0", False), ("-1", False)],
)
def test_a_rate_may_be_small_but_not_nothing(tmp_path: Path, rate: str, is_taken: bool) -> None:
    world = World(tmp_path, REAL["billing/fx_rates"])
    world.land(f"{DAY}.csv", f"rate_date,currency,base_per_unit\n{DAY},IRR,{rate}\n")
    assert world.extract().rows_accepted == int(is_taken)


@pytest.mark.parametrize("name", REAL)
def test_every_declared_export_can_be_extracted(tmp_path: Path, name: str) -> None:
    world = World(tmp_path, REAL[name])
    filler = {
        "text": "x",
        "boolean": "true",
        "date": "2024-01-01",
        "timestamp": "2024-01-01T10:00:00Z",
    }
    row = {
        column.name: column.values[0] if column.values else filler.get(column.type, "1")
        for column in world.export.columns
    }
    for extension in FORMATS:
        world.land(f"{DAY}/part.{extension}", encoded([row], extension))
    assert counts(world.extract()) == (5, 1, 0, 4)


def test_contracts_ledger_and_staleness_do_without_duckdb() -> None:
    program = "import sys, dagster_project.core.staleness; sys.exit('duckdb' in sys.modules)"
    root = Path(__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0


# --- Any table, any format -----------------------------------------------------------------------

CELL = st.one_of(
    st.sampled_from(["", "1", "2", "2.0", "2.5", "x", "-7", "open", "paid", "2024-01-01", "1e3"]),
    st.text(st.sampled_from("a\", \n\r\té=;'\\{}0"), max_size=6),
)
RANDOM = Export(
    "crm",
    "random",
    "append",
    ("id",),
    (
        Column("id", "text"),
        Column("n", "bigint", is_nullable=True),
        Column("kind", "text", is_nullable=True, values=("open", "paid")),
        Column("note", "text", is_nullable=True),
    ),
)


def plainly(rows: list[list[str]]) -> tuple[list[Row], int, int]:
    """(accepted, rejected, superseded) of text rows by RANDOM's contract, one row at a time."""
    good: dict[str, list[Row]] = {}
    rejected = 0
    for id_, n, kind, note in rows:
        number = n.removesuffix(".0")
        is_number = number.removeprefix("-").isdecimal() and number.isascii()
        if not id_ or (n and not is_number) or kind not in ("", "open", "paid"):
            rejected += 1
        else:
            row = (id_, int(number) if n else None, kind or None, note or None)
            good.setdefault(id_, []).append(row)
    accepted = [versions[0] for versions in good.values() if len(set(versions)) == 1]
    conflicts = sum(len(versions) for versions in good.values() if len(set(versions)) > 1)
    superseded = sum(len(v) - 1 for v in good.values() if len(set(v)) == 1)
    return accepted, rejected + conflicts, superseded


@pytest.fixture(scope="module")
def random_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Extractor]]:
    world = World(tmp_path_factory.mktemp("random"), RANDOM)
    with Extractor(world.lake, RULES) as extractor:
        yield world, extractor


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL, CELL).map(list), min_size=1, max_size=8),
    # With \n as line end, csv.writer leaves a lone \r unquoted, which RFC 4180 forbids.
    dialect=st.sampled_from(
        [("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]
    ),
    has_last_end=st.booleans(),
)
def test_any_table_in_any_format_is_read_as_python_would_and_accounted_for(
    random_world: tuple[World, Extractor],
    rows: list[list[str]],
    dialect: tuple[str, Any],
    has_last_end: bool,
) -> None:
    world, extractor = random_world
    names = [column.name for column in RANDOM.columns]
    accepted_rows, rejected, superseded = plainly(rows)
    for extension in FORMATS:
        content = encoded([dict(zip(names, row, strict=True)) for row in rows], extension)
        if extension == "csv":
            text = io.StringIO(newline="")
            writer = csv.writer(text, lineterminator=dialect[0], quoting=dialect[1])
            writer.writerows([names, *rows])
            content = text.getvalue().removesuffix("" if has_last_end else dialect[0]).encode()
        for old in world.folder.glob("*"):
            old.unlink()
        world.land(f"{DAY}.{extension}", content)
        line = extractor.extract_day(RANDOM, DAY)
        assert counts(line) == (len(rows), len(accepted_rows), rejected, superseded), extension
        assert sorted(world.raw(), key=repr) == sorted(accepted_rows, key=repr)
