"""Hostile export files: tables with nasty cells, written in every format and then damaged.

    PYTHONPATH=. python tests/fuzz.py [files] [first seed]      what `make fuzz` runs

Each file is one day of one export. What must hold of any bytes: the day is ok with rows in =
accepted + rejected + superseded, or it fails with one sentence; no row that can be seen in the file
is missing from raw and rejects; the next good file is read as ever; nothing is left behind, and
nothing appears outside the data folder. Where the damage leaves the table known, its counts are
those of a plain reading, row by row, that shares no code with the extraction.

A file is its seed: with 1 and SEED the same one is made again. A short form is in `make test`.
"""

import csv
import datetime as dt
import gzip
import io
import json
import math
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import polars as pl
from polars._typing import ParquetCompression
from program import ENVIRONMENT

from dagster_project.core.engine import file_literal
from dagster_project.core.exports import Column, Export
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import FORMATS, Lake
from dagster_project.core.ledger import Extraction
from dagster_project.core.staleness import Rules

DAY, GOOD_DAY = date(2024, 1, 5), date(2024, 1, 6)
LIMIT = 12_000_000
# Of a process that tries files (bytes of address space).
MEMORY = 6 << 30
RULES = Rules(first_day=date(2020, 1, 1), max_reject_share=1.0, max_unpacked_bytes=LIMIT)
EXPORT = Export(
    system="crm",
    name="things",
    kind="append",
    key=("id",),
    columns=(
        Column("id", "text"),
        Column("n", "bigint", is_nullable=True),
        Column("small", "integer", is_nullable=True),
        Column("ratio", "double", is_nullable=True),
        Column("money", "decimal", is_nullable=True, minimum=Decimal(0)),
        Column("is_on", "boolean", is_nullable=True),
        Column("day", "date", is_nullable=True),
        Column("at", "timestamp", is_nullable=True),
        Column("kind", "text", values=("open", "paid")),
        Column("note", "text", is_nullable=True),
        Column("updated_at", "timestamp", is_nullable=True),
    ),
)
NAMES = [column.name for column in EXPORT.columns]
Row = dict[str, str]

# --- Tables --------------------------------------------------------------------------------------

# Text that means something to a spreadsheet, a shell, a path, SQL, a template or a parser.
NASTY = [
    *("=1+1", '=cmd|" /C calc"!A0', "@SUM(A1)", "+1", "-1", "\t=1", "$(touch x)", "`id`", "${x}"),
    *("../../../../etc/passwd", "/etc/passwd", "C:\\Windows", "file:///etc/passwd", "s3://b/k"),
    *("'; drop table staged; --", "\"; attach 'x' as y", "{{ 1 }}", "%s", "?", "$1", "date=1"),
    *("NULL", "null", "None", "NaN", "\\N", "#", "--", "//", "\x7f", "\u202e", "\ufeff", "é" * 40),
    *("0000-01-01", "9999-12-31", "10000-01-01", "0001-01-01T00:00:00Z", "2024-02-30"),
    *("9223372036854775808", "-9223372036854775809", "1" * 400, "1e400", "1e-400", "0x10", "1_0"),
    *("2147483648", "99999999999999999999999999.9", "00012", "-0", "١٢", "true", "t", " 1 ", ""),
    *("a,b", 'a"b', '"', '""', "a\nb", "a\r\nb", "a\rb", "\n", ",", "[1]", '{"a": 1}', "\\", "'"),
]
PLAIN: Mapping[str, Callable[[Random], str]] = {
    "n": lambda random: str(random.randrange(-(10**9), 10**9)),
    "small": lambda random: str(random.randrange(1000)),
    "ratio": lambda random: repr(random.random()),
    "money": lambda random: f"{random.randrange(10**6) / 100:.2f}",
    "is_on": lambda random: random.choice(["true", "false"]),
    "day": lambda random: str(date(2023, 1, 1) + dt.timedelta(random.randrange(365))),
    "at": lambda random: f"2023-05-{random.randrange(1, 29):02d}T10:00:00Z",
    "kind": lambda random: random.choice(["open", "paid"]),
    "note": lambda random: random.choice(["", "fine", "well, yes", 'said "no"', "two\nlines"]),
    "updated_at": lambda random: f"2024-01-{random.randrange(1, 28):02d}",
}
# In the id of every row, so that a row can be found again wherever it went.
MARK = re.compile(r"mark\d{6}(?!\d)")


def table(random: Random) -> list[Row]:
    share = random.choice([0, 0.01, 0.1])
    rows = []
    for number in range(random.choice([0, 1, 3, 30, 30, 300])):
        row = {"id": f"mark{number:06d}"} | {name: make(random) for name, make in PLAIN.items()}
        for name in PLAIN:
            if random.random() < share:
                row[name] = random.choice(NASTY)
        rows.append(row)
        if random.random() < share:
            rows.append(row if random.random() < 0.5 else {**row, "note": "again"})
    random.shuffle(rows)
    return rows


def csv_of(rows: list[Row], random: Random) -> bytes:
    text = io.StringIO(newline="")
    names = random.sample(NAMES, len(NAMES)) + random.choice([[], [], ["extra"]])
    end = random.choice(["\n", "\n", "\r\n", "\r"])
    has_specials = any(set(cell) & set(',"\r\n') for row in rows for cell in row.values())
    # With another line end csv.writer leaves a lone \r unquoted, which RFC 4180 forbids.
    is_quoted = (has_specials and end != "\r\n") or random.random() < 0.3
    writer = csv.writer(
        text, lineterminator=end, quoting=csv.QUOTE_ALL if is_quoted else csv.QUOTE_MINIMAL
    )
    writer.writerow(names)
    writer.writerows([[row.get(name, "x") for name in names] for row in rows])
    content = text.getvalue().removesuffix(random.choice([end, "", "", ""]))
    return random.choice([b"", b"", b"\xef\xbb\xbf"]) + content.encode()


def jsonl_of(rows: list[Row], random: Random) -> bytes:
    is_ascii = random.random() < 0.5
    return "".join(json.dumps(row, ensure_ascii=is_ascii) + "\n" for row in rows).encode()


def parquet_of(frame: pl.DataFrame, random: Random) -> bytes:
    file = io.BytesIO()
    packings: list[ParquetCompression] = ["uncompressed", "zstd", "snappy", "gzip"]
    compression = random.choice(packings)
    frame.write_parquet(file, compression=compression, row_group_size=random.choice([7, 100, None]))
    return file.getvalue()


def content_of(kind: str, rows: list[Row], random: Random) -> bytes:
    if kind == "parquet":
        return parquet_of(frame_of(rows, random), random)
    return (csv_of if kind == "csv" else jsonl_of)(rows, random)


def frame_of(rows: list[Row], random: Random) -> pl.DataFrame:
    """The rows as text, and some of the columns as their own type where every cell allows it."""
    frame = pl.DataFrame(rows, schema=dict.fromkeys(NAMES, pl.String), orient="row")
    for name, type_ in (("n", pl.Int64), ("small", pl.Int32), ("day", pl.Date)):
        values = [typed(name, row[name]) for row in rows]
        if random.random() < 0.5 and all(value not in (None, "") for value in values):
            frame = frame.with_columns(pl.Series(name, values, type_))
    return frame.select(random.sample(NAMES, len(NAMES)))


# --- A plain reading -----------------------------------------------------------------------------


def counts_of(rows: list[Row]) -> tuple[int, int, int, int]:
    """(rows in, accepted, rejected, superseded) of rows under the contract."""
    good: dict[object, list[tuple[Any, ...]]] = {}
    rejected = 0
    for row in rows:
        values = tuple(typed(name, row[name]) for name in NAMES)
        if None in values or not values[0] or not row["kind"]:
            rejected += 1
        else:
            good.setdefault(values[0], []).append(values)
    accepted = superseded = 0
    for versions in good.values():
        newest = max((row[-1] for row in versions if row[-1]), default="")
        if len({row for row in versions if row[-1] == newest}) == 1:
            accepted += 1
            superseded += len(versions) - 1
        else:
            rejected += len(versions)
    return len(rows), accepted, rejected, superseded


def typed(name: str, text: str) -> Any:
    """The value of a cell, "" where it is empty, None where the contract refuses it."""
    if text == "":
        return ""
    column = next(column for column in EXPORT.columns if column.name == name)
    number = text if text.isascii() and not set(text) & set("_xX \t\r\n") else ""
    try:
        match column.type:
            case "bigint" | "integer":
                if not re.fullmatch(r"[+-]?[0-9]+(\.0*)?", number):
                    return None
                value = int(number.partition(".")[0])
                bits = 63 if column.type == "bigint" else 31
                return value if -(2**bits) <= value < 2**bits else None
            case "double":
                real = float(number)
                return real if math.isfinite(real) and "n" not in number.lower() else None
            case "decimal":
                money = Decimal(number)
                if not money.is_finite() or money < 0:
                    return None
                return money if abs(money) < Decimal(10) ** 16 else None
            case "boolean":
                words = {"true": True, "t": True, "yes": True, "y": True, "1": True}
                words |= {"false": False, "f": False, "no": False, "n": False, "0": False}
                return words.get(text.lower())
            case "date":
                day = date.fromisoformat(text) if len(text) == 10 else None
                return day if day and day.year >= 1900 else None
            case "timestamp":
                if not re.match("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
                    return None
                at = dt.datetime.fromisoformat(text)
                return at.replace(tzinfo=None) if at.year >= 1900 else None
    except (ValueError, InvalidOperation):
        return None
    return text if not column.values or text in column.values else None


# --- Damage --------------------------------------------------------------------------------------


@dataclass
class Hostile:
    """A file to be; `rows` is None once damage made its table unknown, and `is_refused` tells that
    it may not be read at all."""

    format: str
    content: bytes
    rows: list[Row] | None
    damages: list[str] = field(default_factory=list)
    is_refused: bool = False

    @property
    def damage(self) -> str:
        return " + ".join(self.damages) or "no damage"


Damage = Callable[[Hostile, Random], None]


def hostile(seed: int) -> Hostile:
    """The file of a seed."""
    random = Random(seed)
    format_ = random.choice(FORMATS)
    rows = table(random)
    kind = format_.removesuffix(".gz")
    file = Hostile(format_, content_of(kind, rows, random), rows)
    for _ in range(random.choice([0, 1, 1, 1, 1, 1, 2])):
        damage = random.choice(DAMAGES[kind])
        file.damages.append(_name(damage))
        damage(file, random)
    if format_.endswith(".gz"):
        file.content = gzip.compress(file.content, 1)
        if random.random() < 0.3:
            damage = random.choice(OF_GZIP)
            file.damages.append(f"{_name(damage)} (of the gzip)")
            damage(file, random)
    return file


def _name(damage: Damage) -> str:
    return damage.__name__.strip("_").replace("_", " ")


def _cells_replaced(file: Hostile, random: Random, values: list[str]) -> None:
    """Some cells of the table, whose counts stay known: whatever they say, they are but text."""
    if file.rows is None:
        return
    rows = [dict(row) for row in file.rows]
    for row in rows:
        if random.random() < 0.5:
            row[random.choice(NAMES[1:])] = random.choice(values)
    file.rows = rows
    file.content = content_of(file.format.removesuffix(".gz"), rows, random)


def formula_like_text(file: Hostile, random: Random) -> None:
    _cells_replaced(
        file, random, ["=1+1", '=cmd|" /C calc"!A0', "@SUM(A1)", "+1+2", "-2+3", "\t=1"]
    )


def path_like_values(file: Hostile, random: Random) -> None:
    paths = [
        "../../../../etc/passwd",
        "/etc/passwd",
        "C:\\Windows",
        "file:///etc/passwd",
        "s3://b/k",
    ]
    _cells_replaced(file, random, [*paths, "~/.netrc", "date=2024-01-06/data.parquet", "*.parquet"])


def code_like_text(file: Hostile, random: Random) -> None:
    code = ["'; drop table staged; --", "\"; attach 'x' as y", "{{ 1 }}", "$(touch x)", "`touch x`"]
    _cells_replaced(file, random, [*code, "%s", "${x}", "read_csv('/etc/passwd')", "\\copy x"])


def dates_out_of_bounds(file: Hostile, random: Random) -> None:
    dates = ["0000-01-01", "0001-01-01T00:00:00Z", "9999-12-31", "9999-12-31T23:59:59Z"]
    _cells_replaced(
        file, random, [*dates, "10000-01-01", "-0001-01-01", "1899-12-31", "2024-02-30"]
    )


def numbers_beyond_64_bits(file: Hostile, random: Random) -> None:
    numbers = [str(2**63), str(-(2**63) - 1), str(2**64), str(2**128), "1" * 400, "1e400", "1e-400"]
    _cells_replaced(file, random, [*numbers, "-" + "9" * 39, "0." + "0" * 400 + "1", "0x10"])


def truncated(file: Hostile, random: Random) -> None:
    file.rows = None
    file.content = file.content[: random.randrange(len(file.content) + 1)]


def bits_flipped(file: Hostile, random: Random) -> None:
    file.rows = None
    content = bytearray(file.content)
    for _ in range(random.choice([1, 1, 2, 8, 64])) if content else ():
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    file.content = bytes(content)


def _spliced(file: Hostile, random: Random, bytes_: bytes, removed: int = 0) -> None:
    file.rows = None
    at = random.randrange(len(file.content) + 1)
    file.content = file.content[:at] + bytes_ + file.content[at + removed :]


def bytes_inserted(file: Hostile, random: Random) -> None:
    _spliced(file, random, random.randbytes(random.choice([1, 2, 10, 1000])))


def bytes_lost(file: Hostile, random: Random) -> None:
    _spliced(file, random, b"", random.choice([1, 2, 10, 1000]))


def bytes_zeroed(file: Hostile, random: Random) -> None:
    zeros = random.choice([1, 8, 512])
    _spliced(file, random, bytes(zeros), zeros)


def a_piece_repeated(file: Hostile, random: Random) -> None:
    start = random.randrange(len(file.content) + 1)
    _spliced(file, random, file.content[start : start + random.choice([10, 100, 10_000])])


def tail_flipped(file: Hostile, random: Random) -> None:
    """Parquet keeps what it knows of itself at its end."""
    start = max(len(file.content) - 600, 0)
    head, file.content = file.content[:start], file.content[start:]
    bits_flipped(file, random)
    file.content = head + file.content


def quotes_sprinkled(file: Hostile, random: Random) -> None:
    for _ in range(random.randrange(1, 4)):
        _spliced(file, random, random.choice([b'"', b'""', b'"""', b'",', b',"', b'\n"', b"'"]))


def line_ends_sprinkled(file: Hostile, random: Random) -> None:
    for _ in range(random.randrange(1, 9)):
        _spliced(file, random, random.choice([b"\n", b"\r\n", b"\r", b"\n\r", b"\r\r\n", b"\x0b"]))


def line_ends_mixed(file: Hostile, random: Random) -> None:
    pieces = re.split(b"\r\n|\r|\n", file.content)
    if any(set(cell) & set("\r\n") for row in file.rows or () for cell in row.values()):
        file.rows = None
    ends = [random.choice([b"\n", b"\r\n", b"\r", b"\n\n"]) for _ in pieces]
    file.content = b"".join(x + end for x, end in zip(pieces, ends, strict=True))


def not_utf8(file: Hostile, random: Random) -> None:
    _spliced(file, random, random.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80"]))


def in_utf16(file: Hostile, random: Random) -> None:
    file.rows = None
    file.content = file.content.decode("utf-8", "replace").encode(
        random.choice(["utf-16", "utf-16-le", "utf-16-be"])
    )


def control_characters(file: Hostile, random: Random) -> None:
    character = random.choice([b"\0", b"\1", b"\x08", b"\x1a", b"\x1b", b"\x1c", b"\x1f"])
    _spliced(file, random, character * random.choice([1, 9]))


def a_huge_field(file: Hostile, random: Random) -> None:
    size = random.choice([70_000, 1_900_000, 2_100_000, 3_000_000])
    _spliced(file, random, random.choice([b"x", b"1", b",", b"[", b" ", b"\xc3\xa9"]) * size)


def a_byte_order_mark_within(file: Hostile, random: Random) -> None:
    _spliced(file, random, b"\xef\xbb\xbf")


def _header_changed(file: Hostile, change: Callable[[list[bytes]], None]) -> None:
    head = re.match(rb"[^\r\n]*", file.content)
    line = head.group() if head else b""
    names = line.split(b",")
    change(names)
    file.content = b",".join(names) + file.content[len(line) :]


def headers_swapped(file: Hostile, random: Random) -> None:
    file.rows = None
    _header_changed(file, random.shuffle)


def a_header_twice(file: Hostile, random: Random) -> None:
    file.rows = None
    _header_changed(file, lambda names: names.append(random.choice(names)))


def a_header_renamed(file: Hostile, random: Random) -> None:
    def rename(names: list[bytes]) -> None:
        odd = [b"", b" id", b"ID", b"Id", b"x" * 100_000, b"\xff", b"i\0d", b"\xc3\xaf", b"'", b"$"]
        names[random.randrange(len(names))] = random.choice(odd)

    file.rows = None
    _header_changed(file, rename)


def no_header(file: Hostile, _: Random) -> None:
    file.rows = None
    file.content = file.content.partition(b"\n")[2]


def thousands_of_columns(file: Hostile, random: Random) -> None:
    count = random.choice([1000, 3000])
    if file.format.startswith("csv"):
        # Short rows: every one is malformed.
        file.rows = None
        _header_changed(file, lambda names: names.extend(b"c%d" % i for i in range(count)))
        if random.random() < 0.5:
            lines = file.content.splitlines(keepends=True)
            file.content = b"".join(
                [*lines[:1], *(x.rstrip(b"\r\n") + b"," * count + b"\n" for x in lines[1:])]
            )
    elif file.format.startswith("jsonl"):
        keys = b"".join(b'"c%d": 1, ' % i for i in range(count))
        file.content = file.content.replace(b'{"id"', b"{" + keys + b'"id"')
    elif file.rows is not None:
        extra = [pl.lit(i).alias(f"c{i}") for i in range(count)]
        file.content = parquet_of(frame_of(file.rows, random).with_columns(extra), random)


def another_delimiter(file: Hostile, random: Random) -> None:
    file.rows = None
    file.content = file.content.replace(b",", random.choice([b";", b"\t", b"|", b", ", b"\x1f"]))


def cells_too_many_or_few(file: Hostile, random: Random) -> None:
    file.rows = None
    lines = file.content.split(b"\n")
    for _ in range(3):
        at = random.randrange(len(lines))
        lines[at] = random.choice(
            [lines[at] + b",x", lines[at] + b",", lines[at] + b",,,", lines[at].rpartition(b",")[0]]
        )
    file.content = b"\n".join(lines)


def _value_replaced(file: Hostile, random: Random, value: bytes) -> None:
    """One value of one line of JSON, whatever that makes of the line."""
    lines = file.content.split(b"\n")
    at = random.randrange(len(lines))
    name = random.choice(NAMES[1:]).encode()
    lines[at] = re.sub(
        rb'"%s": "[^"\\]*"' % name, lambda _: b'"%s": %s' % (name, value), lines[at], count=1
    )
    file.rows = None
    file.content = b"\n".join(lines)


def deep_json(file: Hostile, random: Random) -> None:
    depth = random.choice([100, 1000, 50_000, 500_000])
    opened, closed = random.choice([(b"[", b"]"), (b'{"a":', b"}")])
    closed = random.choice([closed, closed, b""]) * depth
    _value_replaced(file, random, opened * depth + b"1" + closed)


def odd_json_values(file: Hostile, random: Random) -> None:
    odd = [
        *(b"NaN", b"Infinity", b"-Infinity", b"nul", b"1" * 400, b"1e999", b"-0", b"01", b"1."),
        *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"\\x"', b"{}", b"[]", b"'x'", b"true"),
        *(b"9223372036854775808", b"18446744073709551616", b"1.0000000000000000000001", b"//x"),
        *(
            b'1, "note": "again"',
            b"1}",
            b"1} {",
            b'"a\tb"',
            b"[1, 2",
            b'{"a": [{"b": null}]}',
            b".5",
        ),
    ]
    for _ in range(3):
        _value_replaced(file, random, random.choice(odd))


def keys_twice(file: Hostile, _: Random) -> None:
    file.content = file.content.replace(b"}\n", b', "note": "once more", "n": "x"}\n')
    file.rows = None


def lines_that_are_no_rows(file: Hostile, random: Random) -> None:
    lines = file.content.split(b"\n")
    for line in (b"[]", b"null", b"1", b'"text"', b"{}", b"{} {}", b"//", b" ", b"\t{}", b"[" * 99):
        lines.insert(random.randrange(len(lines) + 1), line)
    file.rows = None
    file.content = b"\n".join(lines)


def other_types(file: Hostile, random: Random) -> None:
    if file.rows is None:
        return
    frame = frame_of(file.rows, random)
    name = random.choice(NAMES[1:])
    odd = [
        pl.lit([1, 2]),
        pl.struct(pl.lit(1).alias("a"), pl.lit("x").alias("b")),
        pl.lit(b"\xff\xfe"),
        pl.lit(float("nan")),
        pl.lit(2**64 - 1, pl.UInt64),
        pl.lit(None),
        pl.lit(dt.datetime(1, 1, 1)),
        pl.lit(dt.datetime(9999, 12, 31)).dt.replace_time_zone("Europe/Berlin"),
        pl.lit(dt.time(23, 59)),
        pl.lit(dt.timedelta(days=1)),
        pl.lit("open").cast(pl.Categorical),
        pl.lit(Decimal("1.5")),
    ]
    file.rows = None
    file.content = parquet_of(frame.with_columns(random.choice(odd).alias(name)), random)


def names_of_other_case(file: Hostile, random: Random) -> None:
    if file.rows is None:
        return
    frame = frame_of(file.rows, random)
    name = random.choice(NAMES)
    fresh = random.choice([name.upper(), f"{name}_1", f"{name} ", "", "'", '"', "x" * 70_000, "\n"])
    file.rows = None if random.random() < 0.5 else file.rows
    renamed = frame.rename({name: fresh}) if file.rows is None else frame
    if file.rows is not None:
        renamed = frame.with_columns(pl.lit("other").alias(fresh))
    file.content = parquet_of(renamed, random)


def a_bomb(file: Hostile, random: Random) -> None:
    """A file of one row a million times over."""
    file.rows, file.is_refused = None, True
    one = pl.lit(random.choice(["1", None, "x"]), pl.String)
    rows = LIMIT // len(NAMES) + 1
    bomb = io.BytesIO()
    pl.select(one.repeat_by(rows).explode().alias(name) for name in NAMES).write_parquet(bomb)
    file.content = bomb.getvalue()


def a_gzip_bomb(file: Hostile, random: Random) -> None:
    file.rows, file.is_refused = None, True
    file.content += gzip.compress(random.choice([b"\0", b"\n", b"x"]) * (8 * LIMIT))


def gzip_members_joined(file: Hostile, _: Random) -> None:
    file.content += gzip.compress(b"\n")


def behind_the_gzip(file: Hostile, random: Random) -> None:
    tail = random.choice([bytes(100), b"garbage", b"\x1f\x8b", file.content[:30]])
    if tail.strip(b"\0"):
        file.rows = None
    file.content += tail


def gzip_in_gzip(file: Hostile, _: Random) -> None:
    file.rows = None
    file.content = gzip.compress(file.content)


def not_a_gzip(file: Hostile, _: Random) -> None:
    file.rows, file.is_refused = None, True
    file.content = gzip.decompress(file.content)


BYTES: list[Damage] = [
    *(truncated, bits_flipped, bytes_inserted, bytes_lost, bytes_zeroed, a_piece_repeated),
]
CELLS: list[Damage] = [
    *(formula_like_text, path_like_values, code_like_text),
    *(dates_out_of_bounds, numbers_beyond_64_bits),
]
TEXT: list[Damage] = [
    *(*BYTES, *CELLS, quotes_sprinkled, line_ends_sprinkled, line_ends_mixed, not_utf8, in_utf16),
    *(control_characters, a_huge_field, a_byte_order_mark_within, thousands_of_columns),
]
DAMAGES: Mapping[str, list[Damage]] = {
    "csv": [
        *(*TEXT, headers_swapped, a_header_twice, a_header_renamed, no_header),
        *(another_delimiter, cells_too_many_or_few),
    ],
    "jsonl": [*TEXT, deep_json, odd_json_values, keys_twice, lines_that_are_no_rows],
    "parquet": [
        *(*BYTES, *CELLS, tail_flipped, tail_flipped, other_types, names_of_other_case),
        *(thousands_of_columns, a_bomb),
    ],
}
OF_GZIP: list[Damage] = [*BYTES, a_gzip_bomb, gzip_members_joined, behind_the_gzip, gzip_in_gzip]

# --- What became of a file -----------------------------------------------------------------------


class Range:
    """A data folder in which files are tried one after the other, by one extractor."""

    def __init__(self, root: Path) -> None:
        self.lake = Lake(root / "data")
        self.root = root
        self._look = duckdb.connect()
        self._tried = 0

    def __enter__(self) -> "Range":
        self._extractor = Extractor(self.lake, RULES, memory_limit="1GB").__enter__()
        folder = self.lake.landing(EXPORT.system, EXPORT.name)
        folder.mkdir(parents=True)
        (folder / f"{GOOD_DAY}.csv").write_text(
            f"{','.join(NAMES)}\nx,1,1,0.5,1.5,true,2024-01-01,2024-01-01,open,,\n"
            'y,oops,1,0.5,1.5,true,2024-01-01,2024-01-01,open,"a,b",\n'
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._extractor.__exit__(None, None, None)
        left = [str(path) for path in self.lake.temporary.rglob("*")]
        assert not left, f"left behind: {left[:5]}"
        assert [path.name for path in self.root.iterdir()] == ["data"]

    def fate(self, file: Hostile) -> tuple[str, list[str]]:
        """What became of it in a few words, and what should not have."""
        folder = self.lake.landing(EXPORT.system, EXPORT.name)
        path = folder / f"{DAY}.{file.format}"
        path.write_bytes(file.content)
        try:
            line = self._extractor.extract_day(EXPORT, DAY)
        finally:
            path.unlink()
        wrong = list(self._wrong(file, line))
        self._tried += 1
        if self._tried % 10 == 0 or wrong or not line.is_ok:
            good = self._extractor.extract_day(EXPORT, GOOD_DAY)
            if (good.status, good.rows_accepted, good.rows_rejected) != ("ok", 1, 1):
                wrong.append(f"the good file after it: {good}")
        if line.is_ok:
            return ("ok, rows rejected" if line.rows_rejected else "ok"), wrong
        return f"failed: {_gist(line.error or '')}", wrong

    def _wrong(self, file: Hostile, line: Extraction) -> list[str]:
        wrong = []
        counts = line.rows_in, line.rows_accepted, line.rows_rejected, line.rows_superseded
        if not line.is_ok:
            error = line.error or ""
            if any(counts):
                wrong.append(f"failed, but counts {counts}")
            if not error.isprintable() or not 10 < len(error) < 1000:
                wrong.append(f"not a sentence: {error[:300]!r} ({len(error)})")
            if file.rows is not None:
                wrong.append(f"a readable table was refused: {error}")
            if file.damages == ["no header"] and MARK.search(error):
                wrong.append(f"what a row says is published with the failure: {error}")
            return wrong
        if counts[0] != sum(counts[1:]):
            wrong.append(f"{counts} do not add up")
        if file.is_refused:
            wrong.append("read, although it is beyond the limit")
        if file.rows is not None and counts != counts_of(file.rows):
            wrong.append(f"{counts}, but a plain reading finds {counts_of(file.rows)}")
        raw = self._texts(self.lake.raw_day(EXPORT.system, EXPORT.name, DAY), "*")
        rejects = self._texts(self.lake.rejects_day(EXPORT.system, EXPORT.name, DAY), "raw")
        if len(raw) != line.rows_accepted:
            wrong.append(f"{len(raw)} rows in raw, {line.rows_accepted} accepted")
        if len(rejects) != line.rows_rejected:
            wrong.append(f"{len(rejects)} rows in rejects, {line.rows_rejected} rejected")
        kept = {mark for text in [*raw, *rejects] for mark in MARK.findall(text)}
        # Where bytes are no text, the reject shows a question mark for them, and for a neighbour.
        kept |= {f"mark{digits}" for text in rejects for digits in re.findall("[0-9]{6}", text)}
        # DuckDB keeps the first 10,000 bytes of a record that is none.
        is_cut = any(len(text.encode()) >= 10_000 for text in rejects)
        if (lost := {*_marks(file)} - kept) and not is_cut:
            wrong.append(f"{len(lost)} rows in the file and nowhere else: {sorted(lost)[:3]}")
        return wrong

    def _texts(self, path: Path, columns: str) -> list[str]:
        if not path.exists():
            return []
        source = f"read_parquet({file_literal(path)}, hive_partitioning = false)"
        rows = self._look.execute(f"select {columns} from {source}").fetchall()
        return [" ".join(map(str, row)) for row in rows]


def _marks(file: Hostile) -> list[str]:
    """The marks that stand in the file; of Parquet, those that Polars can read."""
    content = file.content
    if file.format == "parquet":
        try:
            ids = pl.read_parquet(io.BytesIO(content), columns=["id"])["id"].cast(pl.String)
            return MARK.findall(" ".join(ids.drop_nulls()))
        except BaseException:  # Polars panics on some
            return []
    if file.format.endswith(".gz"):
        content = gzip.decompress(content)
    text = content.decode("utf-8", "replace")
    if file.format.startswith("csv"):
        return MARK.findall(text)
    # A line that lost its end holds the marks of two rows and is one.
    lines = [line for line in re.split("[\r\n]", text) if len(MARK.findall(line)) == 1]
    return [mark for line in lines for mark in re.findall(r'"id": "(mark\d{6})"', line)]


def _gist(error: str) -> str:
    """A sentence without what varies from file to file."""
    said = error.partition(": ")[2] or error
    return re.split(r"(?<=missing column)|(?<=the header names)| \((?!The CSV)", said)[0][:60]


# Seeds by format, damage and fate.
Fates = dict[tuple[str, str, str], list[int]]


def run(seeds: range, on_wrong: Callable[[str], None]) -> Fates:
    """Try the files of some seeds; which met which fate."""
    fates: Fates = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, Range(Path(folder)) as range_:
        for seed in seeds:
            file = hostile(seed)
            where = f"seed {seed} ({file.format}, {file.damage})"
            try:
                fate, wrong = range_.fate(file)
            except Exception as error:
                fate, wrong = "unhandled exception", [f"{type(error).__name__}: {error}"[:500]]
            fates[file.format, file.damage, fate].append(seed)
            for sentence in wrong:
                on_wrong(f"{where}: {sentence}")
    return fates


def tell(fates: Fates) -> None:
    """Two tables: what became of each format, and of each kind of damage; a file with two kinds of
    damage is told of under both."""
    by_format: dict[tuple[str, str], list[int]] = defaultdict(list)
    by_damage: dict[str, Counter[str]] = defaultdict(Counter)
    for (format_, damages, fate), seeds in fates.items():
        by_format[format_, fate] += seeds
        for damage in damages.split(" + "):
            by_damage[damage][fate.partition(":")[0]] += len(seeds)
    for (format_, fate), seeds in sorted(by_format.items(), key=lambda it: (it[0][0], -len(it[1]))):
        print(f"{len(seeds):>7,}  {format_:<9} {fate}  (such as {min(seeds)})")
    outcomes = ("ok", "ok, rows rejected", "failed", "unhandled exception")
    print(f"{'':<34}" + "".join(f"{outcome:>21}" for outcome in outcomes))
    for damage, counts in sorted(by_damage.items()):
        print(f"{damage:<34}" + "".join(f"{counts[outcome]:>21,}" for outcome in outcomes))


def main(files: int, first: int) -> int:
    """In processes of their own, so that one that dies by a signal is a finding and not the end."""
    began, chunk = time.monotonic(), 250
    fates: Fates = defaultdict(list)
    wrong: list[str] = []
    for start in range(first, first + files, chunk):
        stop = min(start + chunk, first + files)
        child = subprocess.run(
            [sys.executable, __file__, "--chunk", str(start), str(stop)],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = child.stdout.splitlines()
        if child.returncode:
            wrong.append(f"seeds {start} to {stop}: died with {child.returncode}: {lines[-1:]}")
        for line in lines:
            kind, *rest = json.loads(line)
            if kind == "wrong":
                wrong.append(rest[0])
                print(rest[0], flush=True)
            elif kind == "fate":
                fates[rest[0], rest[1], rest[2]] += rest[3]
    tried = sum(map(len, fates.values()))
    print(f"{tried:,} files in {time.monotonic() - began:.0f} s:")
    tell(fates)
    print(f"{len(wrong)} findings" + "".join(f"\n  {sentence}" for sentence in wrong))
    return int(bool(wrong))


def _chunk(start: int, stop: int) -> int:
    # A file that eats the machine is a finding too, and its neighbours should live.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def say(*words: object) -> None:
        print(json.dumps(words), flush=True)

    for (*which, fate), seeds in run(range(start, stop), lambda it: say("wrong", it)).items():
        say("fate", *which, fate, seeds)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--chunk"]:
        sys.exit(_chunk(int(sys.argv[2]), int(sys.argv[3])))
    sys.exit(main(*map(int, [*sys.argv[1:], *["1000", "0"][len(sys.argv) - 1 :]])))
