"""One landed file made ready to be read in bulk: unpacked, line ends mended, header understood.

What is wrong with a file as a whole is found here, as far as its bytes tell; what its rows hold is
extraction.py's. Everything works on blocks of bytes, never row by row.
"""

import csv
import gzip
import io
import re
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from dagster_project.core.lake import FORMATS, landed_format

# A whole CSV record as DuckDB's strict parser sees it, and what ends it.
_FIELD = rb'(?: *+"(?:[^"]++|"")*+"[^,\r\n]*+|(?! *+")[^,\r\n]*+)'
_RECORD = rb"(?=[^\r\n])" + _FIELD + rb"(?:," + _FIELD + rb")*+"
_CSV_RECORD = re.compile(rb"[\r\n]*+(" + _RECORD + rb")(?:\r\n?|\n)")
_CSV_RECORDS = re.compile(rb"(?:[\r\n]*+" + _RECORD + rb"(?:\r\n?|\n))*+")
_LINE_ENDS = re.compile(rb"[\r\n]++")
# A pattern finds this twice as fast as `b"\n\n" in block`.
_BLANK_LINE = re.compile(rb"\n[\r\n]")
_BLOCK = 1 << 24
# What is only looked through stays in the processor's cache: four times as fast.
_GLIMPSE = 1 << 18
# DuckDB refuses a line above 2 MB. A line longer than this is no line of rows, and would be read
# whole into memory; a "record" longer than this is a quote left open.
_LONGEST_RECORD = 1 << 26
_LONGEST_HEADER = 1 << 20
LONGEST_SENTENCE = 600
# A column costs 32 KB of memory in each thread, however short the file.
MOST_COLUMNS = 5_000


class FileFault(Exception):  # noqa: N818 - it is the file that is at fault
    """A file set that breaks its contract as a whole; the text is one sentence.

    It may quote the file, so it is kept to what prints on a line and to a length that one reads.
    What it quotes stands in brackets at its end, and the file's name at its start, before a colon:
    `ledger.Extraction.notice` keeps the name and cuts off what is quoted.
    """

    def __init__(self, sentence: str) -> None:
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in sentence[:LONGEST_SENTENCE])
        super().__init__(line + "..." * (len(sentence) > LONGEST_SENTENCE))


@dataclass(frozen=True)
class Part:
    """One file of a day, ready for DuckDB."""

    number: int
    file: str  # relative to the export's landing folder: the name in rejects and faults
    path: Path
    format: str  # csv, jsonl or parquet
    header: tuple[tuple[str, str], ...] = ()  # (name, DuckDB type); none for jsonl
    has_quotes: bool = False  # a CSV with quotes ends in the sentinel record

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.header)


def prepare(number: int, file: str, path: Path, work: Path, sentinel: str, limit: int) -> Part:
    """The landed file at `path` as DuckDB can read it; copies, where one is needed, go to `work`.

    A compressed file may hold `limit` bytes. Parquet is left as it is, and its header empty. Raises
    FileFault, and OSError of the machine.
    """
    if not file.isprintable():
        raise FileFault(f"{file}: the name holds characters that do not print")
    _check_readable(file, path)
    if not path.is_file():
        raise FileFault(f"{file}: a day folder holds files, this is not one")
    format_ = landed_format(path)
    if format_ is None:
        raise FileFault(f"{file}: the name ends in none of {', '.join(FORMATS)}")
    if format_ == "parquet":
        return Part(number, file, path, format_)
    if format_.endswith(".gz"):
        path = _unpacked(file, path, work / f"{number}.unpacked", limit)
    format_ = format_.removesuffix(".gz")
    has_quotes, line_end = _survey(file, path)
    if format_ == "jsonl":
        has_quotes = False  # none that a line end could hide in
    if line_end is None:
        path, line_end = _mended(file, path, work / f"{number}.mended", has_quotes), b"\n"
    if format_ == "jsonl":
        return Part(number, file, path, format_)
    names = _csv_header(file, path)
    if has_quotes:
        record = sentinel + "," * (len(names) - 1)
        path = _closed(path, work / f"{number}.csv", record.encode(), line_end)
    return Part(number, file, path, format_, tuple((n, "VARCHAR") for n in names), has_quotes)


def without_blank_lines(part: Part, work: Path) -> Part:
    """The part with a copy that has none, if it has any.

    DuckDB skips a blank line, but counts it where it reports errors, which would shift the numbers
    of rows. A file without a fault need not be searched for them.
    """
    if part.format == "parquet":
        return part
    with part.path.open("rb") as source:
        blocks = _lines(part.file, source, _GLIMPSE)
        if not any(_BLANK_LINE.search(block) or block[:1] in b"\r\n" for block in blocks):
            return part
    target = work / f"{part.number}.unblanked"
    return replace(part, path=_mended(part.file, part.path, target, part.has_quotes))


def check_header(part: Part, columns: Sequence[str]) -> None:
    """Raises FileFault unless every contracted column stands in the header, once, and among not too
    many others."""
    if len(part.names) > MOST_COLUMNS:
        raise FileFault(f"{part.file}: has {len(part.names):,} columns, more than {MOST_COLUMNS:,}")
    doubled = [name for name, times in Counter(part.names).items() if name and times > 1]
    missing = [name for name in columns if name not in part.names]
    if not doubled and not missing:
        return
    for delimiter, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        found = {name.strip('"') for name in ",".join(part.names).split(delimiter)}
        if part.format == "csv" and found >= set(columns):
            raise FileFault(f"{part.file}: wrong delimiter, fields are separated by {called}")
    if len(missing) == len(columns):
        # Then it may be a row, and what a row says is not for those who read of the failure.
        raise FileFault(f"{part.file}: no header, the first line names none of its columns")
    if doubled:
        raise FileFault(
            f"{part.file}: the header names columns more than once ({', '.join(doubled)})"
        )
    header = ", ".join(part.names[:20])
    raise FileFault(f"{part.file}: missing column {', '.join(missing)} (the header is: {header})")


def check_unpacked(file: str, size: float, limit: int) -> None:
    """Raises FileFault if a file of this unpacked size (bytes) is beyond the limit."""
    if size > limit:
        raise FileFault(f"{file}: holds more than {limit:,} bytes once unpacked")


def _check_readable(file: str, path: Path) -> None:
    """Raises FileFault for what may not be read; that a file has gone says nothing of it."""
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        elif path.is_file():
            with path.open("rb") as source:
                source.read(1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FileFault(f"{file}: cannot be read ({error.strerror})") from error


def _unpacked(file: str, path: Path, target: Path, limit: int) -> Path:
    """The file unpacked by Python's gzip, which checks the CRC and the length; DuckDB does not."""
    size = 0
    try:
        if path.stat().st_size == 0:
            raise EOFError  # which Python takes for a sound file of nothing
        with gzip.open(path) as source, target.open("wb") as copy:
            while block := source.read(min(_BLOCK, limit + 1)):
                size += len(block)
                check_unpacked(file, size, limit)
                copy.write(block)
    except EOFError:
        raise FileFault(f"{file}: truncated gzip, the file ends before its data does") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        # Of what is none, Python quotes the first bytes in brackets.
        said = str(error).partition(" (")[0]
        raise FileFault(f"{file}: not a sound gzip file ({said})") from None
    return target


def _lines(file: str, source: BinaryIO, size: int) -> Iterator[bytes]:
    """Blocks of some `size` bytes that end at a line feed, so that no CRLF is cut in two.

    Raises FileFault where none comes within _LONGEST_RECORD bytes, of which no more is read.
    """
    while block := source.read(size):
        room = _LONGEST_RECORD - (len(block) - block.rfind(b"\n") - 1)
        rest = source.readline(room + 1)
        if len(rest) > room and not rest.endswith(b"\n"):
            raise FileFault(f"{file}: no line feed within {_LONGEST_RECORD:,} bytes")
        yield block + rest


def _survey(file: str, path: Path) -> tuple[bool, bytes | None]:
    r"""Whether a file holds quotes; its line end, or None where those it has stop DuckDB's parser:
    mixed, lone \r, or one before the header.
    """
    has_quotes = has_lf = has_crlf = False
    with path.open("rb") as source:
        is_uneven = source.peek(1)[:1] in (b"\r", b"\n")
        for block in _lines(file, source, _GLIMPSE):
            has_quotes = has_quotes or b'"' in block
            if is_uneven:
                continue
            if b"\r" in block:
                returns, pairs = block.count(b"\r"), block.count(b"\r\n")
                has_lf = has_lf or block.count(b"\n") > pairs
                has_crlf, is_uneven = has_crlf or pairs > 0, returns > pairs
            else:
                has_lf = has_lf or b"\n" in block
            is_uneven = is_uneven or (has_lf and has_crlf)
    return has_quotes, None if is_uneven else b"\r\n" if has_crlf else b"\n"


def _mended(file: str, path: Path, target: Path, has_quotes: bool) -> Path:
    """A copy with every record ended by one line feed; line ends within quotes stay as they are."""
    rest = b""
    with path.open("rb") as source, target.open("wb") as copy:
        for block in _lines(file, source, _BLOCK):
            if not has_quotes:
                # What came before ended at a line feed: line ends at the start are blank lines.
                copy.write(_LINE_ENDS.sub(b"\n", block.lstrip(b"\r\n")))
                continue
            rest += block
            matched = _CSV_RECORDS.match(rest)
            end = matched.end() if matched else 0
            copy.write(_CSV_RECORD.sub(rb"\1\n", rest[:end]))
            rest = rest[end:]
            if len(rest) > _LONGEST_RECORD:
                raise FileFault(f"{file}: a quote is opened and never closed")
        copy.write(rest.lstrip(b"\r\n"))
    return target


def _csv_header(file: str, path: Path) -> list[str]:
    with path.open("rb") as source:
        start = source.read(_LONGEST_HEADER)
    # What is cut, or not UTF-8, after the header is none of its business.
    text = start.decode("utf-8-sig", "surrogateescape")
    if not text.strip():
        raise FileFault(f"{file}: is empty, there is not even a header")
    try:
        names = next(csv.reader(io.StringIO(text, newline="")))
        "".join(names).encode()
    except UnicodeEncodeError:
        raise FileFault(f"{file}: is not UTF-8") from None
    except csv.Error as error:
        raise FileFault(f"{file}: the header cannot be read ({error})") from None
    if any("\0" in name for name in names):
        raise FileFault(f"{file}: is not UTF-8")
    return names


def _closed(path: Path, target: Path, record: bytes, line_end: bytes) -> Path:
    """A copy with one more record at its end, after the line end that the last one may lack."""
    with path.open("rb") as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, _BLOCK)
        source.seek(-1, io.SEEK_END)
        copy.write((b"" if source.read(1) == b"\n" else line_end) + record + line_end)
    return target
