"""One landing day of one export -> typed Parquet, rejects, one line of the ledger.

DuckDB reads and judges in bulk. A day takes one of two ways, which share every expression and so
cannot disagree: the swift one streams the rows into Parquet and stops at the first doubt; the
careful one stages all rows with their verdicts, in Parquet as well, because a day may be larger
than the memory; rejects, duplicates and counts come from there.

The contracts are exports.py's, the ledger is ledger.py's, the bytes of a file are files.py's, what
a row must be is rows.py's. Nothing else may write raw and rejects.
"""

import re
import shutil
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb

from dagster_project.core.engine import engine, file_literal, identifier, literal
from dagster_project.core.exports import Export
from dagster_project.core.files import (
    MOST_COLUMNS,
    FileFault,
    Part,
    check_header,
    check_unpacked,
    prepare,
    without_blank_lines,
)
from dagster_project.core.lake import Lake, put
from dagster_project.core.ledger import (
    Extraction,
    Landed,
    Stats,
    append_to_ledger,
    landed_stats,
    sha256_of,
)
from dagster_project.core.machine import is_of_the_machine, sentence
from dagster_project.core.rows import SQL_TYPES, judged, raw_text, source_of
from dagster_project.core.staleness import Rules

# MOST_COLUMNS names of this length fit in a line of the ledger that DuckDB reads (16 MB).
_LONGEST_NAME = 200


class AccountingError(RuntimeError):
    """Rows in are not rows accepted + rejected + superseded: a defect of this module."""


class GoneError(LookupError):
    """A day of which nothing has landed, or no longer."""


@dataclass(frozen=True)
class Counts:
    """What became of the rows of a day; the names are those of the ledger."""

    rows_in: int
    rows_accepted: int
    rows_rejected: int = 0
    rows_superseded: int = 0


class Extractor:
    """Extracts days with one DuckDB connection; a context manager, one at a time per lake.

    A file never makes it raise; it raises OSError when the machine fails (disk full, read-only).
    """

    def __init__(self, lake: Lake, rules: Rules, memory_limit: str = "4GB") -> None:
        self._lake, self._rules, self._memory_limit = lake, rules, memory_limit
        self._folder = lake.temporary / "extraction"
        self._data = self._folder / "data.parquet"
        self._rejects = self._folder / "rejects.parquet"
        self._work = self._folder / "parts"
        # Last record of the copy of a CSV with quotes: not read means that a quote was left open,
        # of which DuckDB's single-threaded reader says nothing.
        self._sentinel = f"end-of-file-{uuid.uuid4().hex}"

    def __enter__(self) -> "Extractor":
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._hasher = ThreadPoolExecutor(1)
        self._connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()
        self._hasher.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _connect(self) -> None:
        self._db = duckdb.connect(
            config={
                **engine(self._memory_limit, self._folder / "spill"),
                "autoinstall_known_extensions": "false",
            }
        )
        self._query("set enable_progress_bar = false")

    def ensure_empty(self, export: Export) -> None:
        """Write the export's typed table of no rows, unless raw has that of the same contract."""
        if is_declared(export, self._lake):
            return
        target = self._lake.raw_empty(export.system, export.name)
        nulls = [f"null::{SQL_TYPES[c.type]} as {identifier(c.name)}" for c in export.columns]
        with self._lake.replacing(target) as file:
            self._copy(f"select {', '.join(nulls)}, null::date as landing_date limit 0", file)
        with self._lake.replacing(target.with_suffix(".contract")) as file:
            file.write_text(export.fingerprint, encoding="utf-8")

    def extract_day(self, export: Export, day: date) -> Extraction:
        """Extract a landed day, replacing its raw data whole; returns the ledger line it appended.

        If the files are at fault, raw stays as it was. Order of commit: where raw holds the day, a
        line of the ledger that it is to be replaced; rejects, data, the line that it is. A kill in
        between leaves the day stale, to be extracted again. So does what this raises of the machine
        or of a defect, but it says so in the ledger. Raises GoneError where nothing landed.
        """
        folder = self._lake.landing(export.system, export.name)
        paths = self._lake.landed_day(export.system, export.name, day)
        if not paths:
            raise GoneError(f"{export.system}/{export.name}: nothing has landed for {day}")
        line = Extraction(
            export.system,
            export.name,
            day,
            "failed",
            len(paths),
            contract=self._rules.contract(export, day),
            max_reject_share=self._rules.max_reject_share,
            max_unpacked_bytes=self._rules.max_unpacked_bytes,
        )
        stats = landed_stats(folder, paths)
        self._work.mkdir()
        # Beside the first reading of the files: hashing lets go of the interpreter.
        hashing = self._hasher.submit(lambda: [sha256_of(path) for path in paths])
        try:
            if day < self._rules.first_day:
                raise FileFault(f"{day} lies before the first day, {self._rules.first_day}")
            self._query(f"set TimeZone = {literal(export.time_zone)}")
            parts = [self._part(number, path, export) for number, path in enumerate(paths)]
            drift = self._drift(export, parts)
            counts = self._swiftly(export, day, parts) or self._carefully(export, day, parts)
            hashing.result()
            if landed_stats(folder, paths) != stats:
                raise FileFault("the files changed while they were read")
            if self._lake.raw_day(export.system, export.name, day).exists():
                # Killed from here on, the day is new, even if the files come back that raw was of.
                killed = replace(line, error="the extraction was killed", landed=_unread(stats))
                append_to_ledger(self._lake, killed)
            reasons = self._commit(export, day, counts)
            line = replace(line, status="ok", **vars(counts), reasons=reasons, drift=drift)
        except Exception as error:
            line = self._failed(line, error, stats)
        else:
            shutil.rmtree(self._work)
        hashes = hashing.result()
        landed = tuple(Landed(*stat, sha) for stat, sha in zip(stats, hashes, strict=True))
        # Of files that have changed meanwhile nobody knows what was hashed: they are read again.
        is_as_read = landed_stats(folder, paths) == stats
        line = replace(line, landed=landed if is_as_read else _unread(stats))
        append_to_ledger(self._lake, line)
        return line

    def _failed(self, line: Extraction, error: Exception, stats: Stats) -> Extraction:
        """The line of a day whose files are at fault; the connection takes statements again.

        Raises what is no fault of the files, and says so in the ledger before; GoneError where they
        went while they were read.
        """
        # Also frees the disk for the line of the ledger.
        shutil.rmtree(self._work)
        self._data.unlink(missing_ok=True)
        if not self._lake.landed_day(line.system, line.export, line.landing_date):
            gone = f"{line.system}/{line.export}: {line.landing_date} has gone"
            raise GoneError(gone) from error
        if isinstance(error, _BREAKDOWN) or isinstance(error.__cause__, _BREAKDOWN):
            self._db.close()
            self._connect()
        if isinstance(error, _BREAKDOWN):
            return replace(line, error="DuckDB breaks down over the files")
        if isinstance(error, FileFault):
            return replace(line, error=str(error))
        # Without hashes, so that the day is new to whoever asks; a full disk takes no line.
        with suppress(OSError):
            broken = replace(line, error=_broken_off(error), landed=_unread(stats))
            append_to_ledger(self._lake, broken)
        raise error

    def _part(self, number: int, path: Path, export: Export) -> Part:
        file = str(path.relative_to(self._lake.landing(export.system, export.name)))
        limit = self._rules.max_unpacked_bytes
        part = prepare(number, file, path, self._work, self._sentinel, limit)
        if part.format == "parquet":
            with _fault_of(part):
                [(size,)] = self._query(_unpacked_size(path))
                check_unpacked(file, size, limit)
                found = self._query(f"describe select * from {source_of([part])}")
            part = replace(part, header=tuple((name, kind) for name, kind, *_ in found))
        if part.format != "jsonl":
            check_header(part, [column.name for column in export.columns])
        return part

    def _drift(self, export: Export, parts: Sequence[Part]) -> tuple[str, ...]:
        """Names in the files that the contract does not know, cut to a length that one reads.

        Raises FileFault for more names than anybody means: the ledger is to stay readable.
        """
        names: set[str] = set()
        for part in parts:
            found = self._names_in_lines(part, export) if part.format == "jsonl" else part.names
            if len(found) > MOST_COLUMNS:
                raise FileFault(f"{part.file}: has more than {MOST_COLUMNS:,} columns")
            names.update(name[:_LONGEST_NAME] for name in found if name)
            if len(names) > MOST_COLUMNS:
                raise FileFault(
                    f"{part.file}: has, with the files before it, more than {MOST_COLUMNS:,}"
                    " columns"
                )
        return tuple(sorted(names - {column.name for column in export.columns}))

    def _names_in_lines(self, part: Part, export: Export) -> list[str]:
        """Keys of the lines that hold a contracted column, one more than MOST_COLUMNS at most: what
        keys another line has may be its content, such as an e-mail address for each person."""
        known = ", ".join(literal(column.name) for column in export.columns)
        # Not distinct lists first, which is faster, but a file of ever other keys would be kept
        # whole. As it is, DuckDB stops reading at the limit.
        found = self._read(
            part,
            lambda sentinel: (
                f"select distinct left(unnest(if(list_has_any(names, [{known}]), names, [])),"
                f" {_LONGEST_NAME}) from (select case when json_valid(line) then json_keys(line)"
                f" end as names from {source_of([part], is_careful=sentinel is not None)})"
                f" limit {MOST_COLUMNS + 1}"
            ),
        )
        return [name for (name,) in found]

    def _swiftly(self, export: Export, day: date, parts: Sequence[Part]) -> Counts | None:
        """The rows of all parts in one stream to Parquet; None at the first doubt."""
        # DuckDB's parallel reader has silently lost rows around a stray quote. Without a quote in
        # the file, a line end is a record's end wherever a thread begins.
        if any(part.has_quotes for part in parts):
            return None
        alike = defaultdict(list)
        for part in parts:
            alike[part.format, part.header].append(part)
        columns = ", ".join(f"v{i}" for i in range(len(export.columns)))
        rows = " union all ".join(
            f"(select {columns}, reason from ({judged(export, group)}))" for group in alike.values()
        )
        # The doubt stops the copy from within the projection that computes it: a filter would be
        # pushed below that, and everything computed twice.
        landing_date = f"case when reason is null then date '{day}' else error(reason)::date end"
        names = [identifier(column.name) for column in export.columns]
        values = ", ".join(f"v{i} as {name}" for i, name in enumerate(names))
        try:
            rows_in = self._copy(
                f"select {values}, {landing_date} as landing_date from ({rows})", self._data
            )
        except _PROGRAMMING:
            raise
        except duckdb.Error:
            return None
        if self._keys(export) == rows_in:
            return Counts(rows_in, rows_in)
        # With one header, the rows were written in the order of the parts.
        return self._less_superseded(export, day, rows_in) if len(alike) == 1 else None

    def _keys(self, export: Export) -> int:
        """The distinct keys that the swift way wrote, by their hashes: never too many."""
        # Hashed from both ends: DuckDB's hash is the same for many a pair of neighbouring ids, and
        # a repeated key that is none costs a second look at all rows.
        key = ", ".join(
            f"{identifier(name)}, reverse({identifier(name)}::varchar)" for name in export.key
        )
        [(keys,)] = self._query(
            f"select count(distinct hash({key})) from {file_literal(self._data)}"
        )
        return int(keys)

    def _less_superseded(self, export: Export, day: date, rows_in: int) -> Counts | None:
        """What the swift way wrote, without the rows that another of their key supersedes; None if
        a key is in conflict, because rejects show the text of the file."""
        whole = self._data.replace(self._work / "whole.parquet")
        values = "".join(f", {identifier(c.name)} as v{i}" for i, c in enumerate(export.columns))
        self._query(
            "create or replace temp view staged as"
            f" select 0 as part, file_row_number + 1 as k{values}, null::varchar as reason"
            f" from read_parquet({file_literal(whole)}, file_row_number = true)"
        )
        self._query(_verdicts(export))
        [(superseded, has_conflict)] = self._query(
            "select count(*), coalesce(bool_or(is_conflict), false) from verdicts"
        )
        if has_conflict:
            return None
        return self._accounted(export, day, rows_in, self._accept(export, day), 0, superseded)

    def _carefully(self, export: Export, day: date, parts: Sequence[Part]) -> Counts:
        """All rows staged with their verdicts; rejects and accepted rows are written from there.

        staged: rows that the reader could take (part, k: ordinal among those, values, reason, raw:
            the text of a refused row)
        broken: records that it could not (part, row_number, text)
        """
        parts = [without_blank_lines(part, self._work) for part in parts]
        self._query("create or replace temp table broken (part int, row_number bigint, text text)")
        values = "".join(f", v{i}" for i in range(len(export.columns)))
        staged = ", ".join(file_literal(self._stage(part, export)) for part in parts)
        self._query(
            f"create or replace temp view staged as select part, file_row_number + 1 as k{values},"
            f" reason, raw from read_parquet([{staged}], file_row_number = true)"
            f" where reason is distinct from '{self._sentinel}'"
        )
        self._query(_verdicts(export))
        accepted = self._accept(export, day)
        [(rows_in, are_refused, superseded)] = self._query(
            """
            select
                (select count(*) from staged) + (select count(*) from broken),
                exists (from staged where reason is not null)
                or exists (from broken) or exists (from verdicts where is_conflict),
                (select count(*) from verdicts where not is_conflict),
            """
        )
        rejected = self._write_rejects(export, parts) if are_refused else 0
        return self._accounted(export, day, rows_in, accepted, rejected, superseded)

    def _accept(self, export: Export, day: date) -> int:
        values = ", ".join(f"v{i} as {identifier(c.name)}" for i, c in enumerate(export.columns))
        return self._copy(
            f"select {values}, date '{day}' as landing_date"
            " from staged anti join verdicts using (part, k) where reason is null",
            self._data,
        )

    def _accounted(self, export: Export, day: date, rows_in: int, *parts: int) -> Counts:
        if rows_in != sum(parts):
            raise AccountingError(f"{export.system}/{export.name} of {day}: {rows_in}, {parts}")
        return Counts(rows_in, *parts)

    def _stage(self, part: Part, export: Export) -> Path:
        file = self._work / f"{part.number}.staged.parquet"
        values = "".join(f", v{i}" for i in range(len(export.columns)))
        self._read(
            part,
            lambda sentinel: (
                f"copy (select {part.number} as part{values}, reason,"
                f" case when reason is not null then {raw_text(part)} end as raw"
                f" from ({judged(export, [part], sentinel)}))"
                f" to {literal(str(file))} (format parquet)"
            ),
        )
        if self._query("from duckdb_tables() where table_name = 'faults'"):
            # `line` counts records, the header as one of them.
            self._query(
                f"insert into broken select {part.number}, line - {int(part.format == 'csv')},"
                " rtrim(any_value(csv_line), chr(10)) from faults group by line"
            )
        if part.has_quotes:
            [(is_closed,)] = self._query(
                f"select exists (from {file_literal(file)} where reason = '{self._sentinel}')"
            )
            if not is_closed:
                raise FileFault(f"{part.file}: a quote is opened and never closed")
        return file

    def _read(self, part: Part, statement: Callable[[str | None], str]) -> list[tuple[Any, ...]]:
        """Run a statement that reads a part, given the sentinel where it must read carefully: where
        there are quotes, and where a parallel reading stumbled over a record that is no row.

        Such records are then in the table faults, which does not exist otherwise.
        """
        self._forget_faults()
        if not part.has_quotes and part.format != "parquet":
            try:
                return self._query(statement(None))
            except _PROGRAMMING:
                raise
            except duckdb.Error:
                pass
        with _fault_of(part):
            return self._query(statement(self._sentinel))

    def _forget_faults(self) -> None:
        self._query("drop table if exists faults")
        self._query("drop table if exists scans")

    def _write_rejects(self, export: Export, parts: Sequence[Part]) -> int:
        """All refused rows with their place and their text; that of good rows whose key is in
        conflict is not staged, and a second reading gives it."""
        self._query(_REFUSED)
        self._query(
            """
            create or replace temp table rejected as
            select part, row_number, 'malformed_row' as reason, to_json(text)::text as raw
            from broken
            union all
            select part, row_number, reason, raw
            from refused
            where raw is not null
            """
        )
        for (number,) in self._query("select distinct part from refused where raw is null"):
            rows = judged(export, [parts[number]], self._sentinel)
            # Of a refused row every column is read, also those outside the contract.
            self._forget_faults()
            with _fault_of(parts[number]):
                self._query(
                    "insert into rejected"
                    f" select refused.part, row_number, refused.reason, {raw_text(parts[number])}"
                    f" from ({rows}) as rows join refused"
                    f" on rows.k = refused.k and refused.part = {number} and refused.raw is null"
                )
        files = ", ".join(f"({part.number}, {literal(part.file)})" for part in parts)
        return self._copy(
            "select file, row_number, reason, raw from rejected"
            f" join (values {files}) as files (part, file) using (part) order by file, row_number",
            self._rejects,
        )

    def _commit(self, export: Export, day: date, counts: Counts) -> dict[str, int]:
        """Put rejects and data in place; returns why rows were rejected, most frequent first."""
        rejects = self._lake.rejects_day(export.system, export.name, day)
        reasons: dict[str, int] = {}
        if counts.rows_rejected:
            reasons = dict(
                self._query(
                    f"select reason, count(*) from {file_literal(self._rejects)}"
                    " group by reason order by count(*) desc, reason"
                )
            )
            put(self._rejects, rejects)
        else:
            rejects.unlink(missing_ok=True)
        if counts.rows_rejected > self._rules.max_reject_share * counts.rows_in:
            reason, times = next(iter(reasons.items()))
            raise FileFault(
                f"{counts.rows_rejected:,} of {counts.rows_in:,} rows were rejected, more than the"
                f" allowed share of {self._rules.max_reject_share:g};"
                f" most often {reason} ({times:,} rows)"
            )
        put(self._data, self._lake.raw_day(export.system, export.name, day))
        return reasons

    def _copy(self, select: str, file: Path) -> int:
        target = literal(str(file))
        [(rows,)] = self._query(f"copy ({select}) to {target} (format parquet, compression zstd)")
        return int(rows)

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        """Raises OSError where the machine fails, else what DuckDB raises."""
        try:
            return self._db.execute(sql).fetchall()
        except duckdb.Error as error:
            kinds = duckdb.OutOfMemoryException | duckdb.IOException
            if isinstance(error, kinds) and is_of_the_machine(error):
                raise OSError(str(error)) from error
            raise


def is_declared(export: Export, lake: Lake) -> bool:
    """Whether raw holds the typed empty table of this contract (see Extractor.ensure_empty)."""
    stamp = lake.raw_empty(export.system, export.name).with_suffix(".contract")
    return stamp.exists() and stamp.read_text(encoding="utf-8") == export.fingerprint


def _unread(stats: Stats) -> tuple[Landed, ...]:
    """Files of which nobody knows what raw holds: without hashes, so that their day stays new."""
    return tuple(Landed(*stat, "") for stat in stats)


def _broken_off(error: Exception) -> str:
    """Why a day came to no end, in words that quote neither a row nor a path."""
    if is_of_the_machine(error):
        return sentence(error).partition(": ")[0]
    return f"the extraction broke off: {type(error).__name__}"


# After either, a connection is of no use.
_BREAKDOWN = (duckdb.InternalException, duckdb.FatalException)
_PROGRAMMING = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
_MAY_QUOTE = re.compile(r"""["`:;(]|\b\d|(?<!\w)'|'(?!\w)""")


@contextmanager
def _fault_of(part: Part) -> Iterator[None]:
    """What DuckDB says of unreadable bytes, as one sentence on the file.

    Its words up to where it may begin to quote a cell: a quotation mark, a colon, a number.
    """
    try:
        yield
    except _PROGRAMMING:
        raise
    except duckdb.Error as error:
        said = re.sub(r"^[\w ]+ Error: ", "", str(error).partition("\n")[0])
        said = said.replace(f'Failed to read file "{part.path}": ', "")
        said = said.replace(f"'{part.path}' ", "")
        said = _MAY_QUOTE.split(said, maxsplit=1)[0].strip() or type(error).__name__
        raise FileFault(f"{part.file}: cannot be read as {part.format} ({said})") from error


def _unpacked_size(path: Path) -> str:
    """SELECT of a Parquet file's size once unpacked (bytes), a cell taking at least one."""
    return (
        "select coalesce(sum(greatest(total_uncompressed_size, num_values))::double, 0)"
        f" from parquet_metadata({file_literal(path)})"
    )


def _verdicts(export: Export) -> str:
    """Of each key that stands in several good rows: those not accepted, and whether in conflict.

    The newest rows of a key are those of the greatest updated_at, or all where the contract has
    none; if they agree, the first of them stands for the key.
    """
    names = [column.name for column in export.columns]
    key = ", ".join(f"v{names.index(name)}" for name in export.key)
    version = f"v{names.index('updated_at')}" if "updated_at" in names else "null"
    content = ", ".join(f"v{i}" for i in range(len(names)))
    return f"""
        create or replace temp table verdicts as
        with repeated as (
            select hash({key}) as key_hash
            from staged
            where reason is null
            group by all
            having count(*) > 1
        ),
        ranked as (
            select
                part, k, {key}, row({content}) as content,
                rank() over (partition by {key} order by {version} desc nulls last) as age,
            from staged semi join repeated on hash({key}) = key_hash
            where reason is null
        ),
        judged as (
            select
                part, k,
                row_number() over (partition by {key} order by age, part, k) as place,
                count(distinct content) filter (age = 1) over (partition by {key}) as contents,
            from ranked
        )
        select part, k, contents > 1 as is_conflict from judged where contents > 1 or place > 1
    """


# A row's number counts every record of its file. The i-th broken record, at row_number, stands
# behind row_number - i rows that could be read; later rows are numbered i above their ordinal.
_REFUSED = """
    create or replace temp table refused as
    with found as (
        select part, k, reason, raw from staged where reason is not null
        union all
        select part, k, 'conflicting_key', null from verdicts where is_conflict
    ),
    ranked as (
        select
            part, row_number,
            row_number() over (partition by part order by row_number) as i,
        from broken
    ),
    gaps as (
        select part, row_number - i as behind_k, max(i) as shift from ranked group by all
    )
    select
        found.part, found.k, found.reason, found.raw,
        found.k + coalesce(gaps.shift, 0) as row_number
    from found asof left join gaps on found.part = gaps.part and found.k > gaps.behind_k
"""
