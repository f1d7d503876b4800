"""What a row must be: the SQL that reads parts, types each cell and says why a row is refused.

Text in, text out: nothing here runs a query. Names come from contracts and files and are always
quoted; a value of an export never becomes SQL.
"""

from collections.abc import Iterator, Sequence

from dagster_project.core.engine import file_literal, identifier, literal
from dagster_project.core.exports import Column, Export
from dagster_project.core.files import Part

SQL_TYPES = {
    "text": "varchar",
    "bigint": "bigint",
    "integer": "integer",
    "double": "double",
    "decimal": "decimal(28, 12)",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}
# What a text must look like besides passing the cast, which by itself takes 12.5 and 0x1F for a
# bigint, 1_000 for any number, 2024/1/2 for a date and a zone's name for an offset.
_INTEGRAL = r"[+-]?\d+(\.0*)?"
_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_OFFSET = r"(Z|[+-][01]\d(:?[0-5]\d){0,2})"
SHAPES = {
    "bigint": _INTEGRAL,
    "integer": _INTEGRAL,
    "double": _NUMBER,
    "decimal": _NUMBER,
    "date": r"\d{4}-\d\d-\d\d([T ]00:00(:00(\.0+)?)?)?",
    "timestamp": rf"\d{{4}}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?{_OFFSET}?)?",
}
# Parquet types taken as they are; any other goes through its text, so that a DOUBLE of 12.5 is
# refused for a bigint as it is in a CSV.
_SMALL = {"TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT"}
NATIVE = {
    "bigint": _SMALL | {"UINTEGER", "BIGINT"},
    "integer": _SMALL,
    "double": {"DOUBLE"},
    "decimal": {"DECIMAL(28,12)"},
    "boolean": {"BOOLEAN"},
    "date": {"DATE"},
}
# Of a number of these, text would be a spelling of ours, and no id of another export is spelled so.
_FLOATING = {"FLOAT", "DOUBLE"}
# What a writer that marks no column as text leaves of one; or no text at all.
_BYTES = "BLOB"


def source_of(parts: Sequence[Part], *, is_careful: bool = False) -> str:
    """The FROM item of parts with one header. Read carefully (one part), records that are no rows
    go to the table `faults`, with one thread, because the parallel reader then loses good rows."""
    files = ", ".join(file_literal(part.path) for part in parts)
    if parts[0].format == "parquet":
        return f"read_parquet([{files}], hive_partitioning = false)"
    if parts[0].format == "jsonl":
        # Lines as text: read_json's ignore_errors turns a bad line into a row of nulls. A control
        # character cannot stand in JSON, so nothing is split.
        dialect = "header = false, delim = chr(1), quote = '', escape = ''"
        columns = "{'line': 'varchar'}"
    else:
        dialect = "header = true, delim = ',', quote = '\"', escape = '\"'"
        columns = "{" + ", ".join(f"'c{i}': 'varchar'" for i in range(len(parts[0].header))) + "}"
    careful = ", parallel = false, store_rejects = true, rejects_limit = 0"
    careful += ", rejects_table = 'faults', rejects_scan = 'scans'"
    return (
        f"read_csv([{files}], {dialect}, columns = {columns}, auto_detect = false,"
        f" compression = 'none', strict_mode = true{careful if is_careful else ''})"
    )


def judged(export: Export, parts: Sequence[Part], sentinel: str | None = None) -> str:
    """SELECT of k (ordinal of the row), v0.. (values in contract order), reason (null = good) and
    r0.. (all cells as they are) of parts with one header; careful if the sentinel is given."""
    part, columns = parts[0], export.columns
    source, cells, fault, whole = _cells(export, parts, sentinel)
    types = dict(part.header) if part.format == "parquet" else {}
    texts, typed, objections = "", "", ""
    for i, (column, cell) in enumerate(zip(columns, cells, strict=True)):
        type_ = types.get(column.name, "")
        value = _native(column, type_, f"x{i}", export.time_zone)
        # An empty text is null, in every format.
        text = cell if value else f"nullif({_text(cell, type_)}, '')"
        texts += f", {text} as x{i}"
        typed += f", {value or _parsed(column, f'x{i}', export.time_zone)} as v{i}"
        if part.format == "parquet":
            found = f"r{part.names.index(column.name)}"
            objections += _objection_to_type(column, type_, found, f"x{i}")
        objections += "".join(f" {when}" for when in _objections(column, f"x{i}", f"v{i}"))
    values = "".join(f", v{i}" for i in range(len(columns)))
    rest = "".join(f", r{i}" for i in range(len(whole)))
    rest_as_found = "".join(f", {cell} as r{i}" for i, cell in enumerate(whole))
    return (
        f"select k{values}, coalesce(fault, case{objections} end) as reason{rest}"
        f" from (select *{typed} from (select row_number() over () as k{texts},"
        f" {fault} as fault{rest_as_found} from {source}))"
    )


def raw_text(part: Part) -> str:
    """A row of `judged` as JSON text: as it stood in the file, names that no contract knows too."""
    if part.format == "jsonl":
        return "case when json_valid(r0) then r0 else to_json(r0)::varchar end"
    members = ", ".join(
        f"{literal(name)}, coalesce({_text(f'r{i}', kind)}, r{i}::varchar)"
        for i, (name, kind) in enumerate(part.header)
    )
    return f"json_object({members})::varchar"


def _cells(
    export: Export, parts: Sequence[Part], sentinel: str | None
) -> tuple[str, list[str], str, list[str]]:
    """How the parts hold a row: FROM item, a cell per contracted column, fault of the row as a
    whole, all its cells."""
    part, names = parts[0], [column.name for column in export.columns]
    source = source_of(parts, is_careful=sentinel is not None)
    if part.format == "jsonl":
        paths = ", ".join(literal(f'$."{name}"') for name in names)
        fields = f"if(json_type(line) = 'OBJECT', json_extract_string(line, [{paths}]), null)"
        return (
            f"(select line, case when json_valid(line) then {fields} end as f from {source})",
            [f"f[{i + 1}]" for i in range(len(names))],
            "if(f is null, 'invalid_json', null)",
            ["line"],
        )
    found = [f"c{i}" if part.format == "csv" else identifier(n) for i, n in enumerate(part.names)]
    ends = part.has_quotes and sentinel
    return (
        source,
        [found[part.names.index(name)] for name in names],
        f"if(c0 = '{sentinel}', '{sentinel}', null)" if ends else "null::varchar",
        found,
    )


def _text(cell: str, type_: str) -> str:
    """The text of a cell; null for bytes that are none."""
    return f"try(decode({cell}))" if type_ == _BYTES else f"{cell}::varchar"


def _native(column: Column, type_: str, cell: str, time_zone: str) -> str | None:
    """The value of a Parquet cell that needs no text in between; None where it does."""
    if type_ in NATIVE.get(column.type, ()):
        return f"{cell}::{SQL_TYPES[column.type]}"
    if column.type == "timestamp" and type_ == "TIMESTAMP WITH TIME ZONE":
        return f"if(isfinite({cell}), make_timestamp(epoch_us({cell})), null)"
    if column.type == "timestamp" and type_ == "TIMESTAMP" and time_zone == "UTC":
        return cell
    return None


def _parsed(column: Column, text: str, time_zone: str) -> str:
    """The value of a text, null where it is none. Timestamps without offset are read in the
    session's time zone, which is the contract's."""
    if column.type == "text":
        return text
    plain = f"try_cast({text} as {SQL_TYPES[column.type]})"
    if (shape := SHAPES.get(column.type)) is None:
        return plain
    value = plain
    if column.type == "timestamp":
        value = f"make_timestamp(epoch_us(try_cast({text} as timestamptz)))"
    branches = f"when regexp_full_match({text}, {literal(shape)}) then {value}"
    # A text just as DuckDB writes the value, or ISO 8601 in UTC, has the shape; telling so takes
    # less time than the shape and the time zone take.
    written = []
    if column.type in ("bigint", "integer", "date") or (column.type, time_zone) == (
        "timestamp",
        "UTC",
    ):
        written.append(f"{plain}::varchar = {text}")
    if column.type == "timestamp":
        written.append(f"strftime({plain}, '%Y-%m-%dT%H:%M:%SZ') = {text}")
    if written:
        branches = f"when {' or '.join(written)} then {plain} {branches}"
    return f"case {branches} end"


def _objection_to_type(column: Column, type_: str, found: str, text: str) -> str:
    """A WHEN branch that gives the reason why a Parquet cell is refused whatever its text is."""
    if type_ == _BYTES:
        wrong = f"{text} is null and octet_length({found}) > 0"
    elif type_ in _FLOATING and column.type == "text":
        wrong = f"{text} is not null"
    else:
        return ""
    return f" when {wrong} then {literal(f'not_a_{column.type}: {column.name}')}"


def _objections(column: Column, cell: str, value: str) -> Iterator[str]:
    """WHEN branches, in order, that give the reason why a value is refused."""
    if not column.is_nullable:
        yield f"when {cell} is null then {literal(f'missing_value: {column.name}')}"
    wrong = f"{value} is null"
    if column.type == "double":
        wrong += f" or not isfinite({value})"
    if column.type in ("date", "timestamp"):
        wrong += f" or {value} < date '1900-01-01' or {value} >= date '10000-01-01'"
    if column.type != "text":
        reason = literal(f"not_a_{column.type}: {column.name}")
        yield f"when {cell} is not null and ({wrong}) then {reason}"
    if column.values:
        allowed = ", ".join(literal(value) for value in column.values)
        reason = literal(f"not_in_enumeration: {column.name}")
        yield f"when {value} not in ({allowed}) then {reason}"
    for comparison, bound in (("<", column.minimum), (">", column.maximum)):
        if bound is not None:
            reason = literal(f"out_of_range: {column.name}")
            yield f"when {value} {comparison} {bound:f} then {reason}"
