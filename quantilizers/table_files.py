"""Files of tables in CSV, JSONL and Parquet, read by polars, which reads only the columns that are needed."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from quantilizers.errors import NotInstalledError, UserError, did_you_mean, one_line

if TYPE_CHECKING:
    import polars as pl

#: The format of a file by its suffix.
FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
#: Words for a missing number in a CSV file.
_MISSING = ("", "na", "n/a", "nan", "null", "none")
_TRUTHS = {"true": "1", "false": "0"}
#: Largest table that is read as a whole.
MOST_ROWS = 2 * 10**8
#: Whole numbers beyond it may not be told apart as floating-point numbers.
EXACT = 2**53


def polars() -> Any:
    """Return the library that reads tables.

    Raises:
        NotInstalledError: it is not installed.
    """
    try:
        import polars as library
    except ModuleNotFoundError:
        raise NotInstalledError("tables need polars, which is not installed", "polars") from None
    return library


def frame_of(name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read one file as a polars frame, words as they are; None reads all columns.

    Raises:
        UserError: it is no table, or a column is missing.
    """
    library = polars()
    kind, content = content_of(name)
    source: Any = Path(name) if content is None else io.BytesIO(content)
    try:
        if kind in ("csv", "tsv"):
            separator = "\t" if kind == "tsv" else ","
            lazy = library.scan_csv(source, separator=separator, infer_schema=False)
        elif kind == "jsonl":
            lazy = library.scan_ndjson(source, infer_schema_length=None)
        else:
            lazy = library.scan_parquet(source)
        there = lazy.collect_schema().names()
        for column in columns or ():
            if column not in there:
                hint = did_you_mean(column, there) or ";"
                hint = (
                    " separate columns by commas, or name the file .tsv;"
                    if len(there) == 1 and ";" in there[0]
                    else hint
                )
                raise UserError(f"{name} has no column {column!r}{hint} it has {', '.join(map(one_line, there[:12]))}")
            if f"{column}_duplicated_0" in there:
                raise UserError(f"{name} has several columns {column!r}; rename all but one")
        if kind == "parquet":
            number = int(lazy.select(library.len()).collect().item())
            if number > MOST_ROWS:
                raise UserError(
                    f"{name} has {number:,} rows, and one file may have {MOST_ROWS:,}; write whole groups to several"
                )
        wanted = lazy if columns is None else lazy.select([exactly(column) for column in columns])
        frame: pl.DataFrame = wanted.collect()
    except (library.exceptions.PolarsError, OSError, ValueError) as error:
        raise UserError(
            f"{name} cannot be read as {kind.upper()}: {_fault(name, kind, error, columns or ())}"
        ) from None
    return frame


def exactly(column: str) -> Any:
    """Return the column of a name, which polars takes for a pattern if it is like `^p.*$`."""
    pattern = column.startswith("^") and column.endswith("$")
    return polars().col(f"^{re.escape(column)}$" if pattern else column)


def content_of(name: str) -> tuple[str, bytes | None]:
    """Return a table's format, and its bytes decompressed and without byte order mark; None if the file needs neither.

    Raises:
        UserError: it is empty, damaged, or of another format.
    """
    try:
        if name == "-":
            content: bytes | None = sys.stdin.buffer.read()
            head = (content or b"")[:64]
        else:
            with Path(name).open("rb") as file:
                content, head = None, file.read(64)
        if head.startswith(b"\x1f\x8b"):
            content = gzip.decompress(Path(name).read_bytes() if content is None else content)
            head = content[:64]
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name} cannot be read: {one_line(str(error))}") from None
    said = "standard input" if name == "-" else name
    kind = None if name == "-" else FORMATS.get(suffix_of(Path(name)))
    if not head.strip() and (len(head) < 64 or kind is None):
        raise UserError(f"{said} is empty")
    for mark, other in _OTHER_FORMATS.items():
        if head.startswith(mark):
            raise UserError(f"{said} is {other}")
    if head.startswith(_BYTE_ORDER_MARK) and kind != "parquet":
        content = (Path(name).read_bytes() if content is None else content)[len(_BYTE_ORDER_MARK) :]
        head = content[:64]
    if kind is None:
        kind = "jsonl" if head.lstrip().startswith(b"{") else "csv"
        kind = "parquet" if head.startswith(b"PAR1") else kind
    if kind != "parquet" and head.lstrip().startswith(b"[") and suffix_of(Path(name)) in (".json", ".jsonl", ".ndjson"):
        raise UserError(f"{said} is a JSON array; JSONL has one object a line, which jq -c '.[]' writes")
    return kind, content


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OTHER_FORMATS = {
    b"PK\x03\x04": "an archive or a spreadsheet; save the table as CSV",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}


def suffix_of(path: Path) -> str:
    """Return the suffix that names the format, before that of a compressed file."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def _not_json(word: str) -> float:
    raise ValueError(f"{word} is not JSON; write null")


def _fault(name: str, kind: str, error: Exception, columns: Sequence[str]) -> str:
    """Describe why a file cannot be read, with the line where JSON is broken or changes its type."""
    if kind == "jsonl" and name != "-":
        _, content = content_of(name)
        before: dict[str, str] = {}
        for place, line in enumerate((Path(name).read_bytes() if content is None else content).split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                fields = json.loads(line, parse_constant=_not_json)
            except (ValueError, RecursionError) as fault:
                return f"line {place:,}: {fault}" if "write null" in str(fault) else f"line {place:,} is not JSON"
            if not isinstance(fields, dict):
                return f"line {place:,} is not an object with a field for each column"
            for column in columns:
                found = _JSON_TYPES.get(type(fields.get(column)))
                if found is not None and before.setdefault(column, found) != found:
                    return f"line {place:,}: {column!r} is {found}, and {before[column]} before"
    described = one_line(str(error).splitlines()[0] if str(error) else type(error).__name__)
    return f"{described}; save it as UTF-8" if "utf" in described.lower() else described


_JSON_TYPES = {
    bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object",
}  # fmt: skip


def csv_records(content: bytes) -> list[bytes]:
    """Split a CSV file at the ends of its lines, but for those within quotes."""
    records: list[bytes] = []
    begun: list[bytes] = []
    quotes = 0
    for line in io.BytesIO(content):
        begun.append(line)
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            records.append(b"".join(begun))
            begun = []
    return [*records, *([b"".join(begun)] if begun else [])]


def numbers_of(name: str, column: pl.Series, rows: np.ndarray[Any, Any]) -> npt.NDArray[np.float64]:
    """Return a column as numbers (R,), NaN where one is missing.

    Args:
        name: the file's, for messages.
        column: of `frame_of`, numbers or words.
        rows: (R,) which row of its file each is.

    Raises:
        UserError: a word is no number, or a whole number has more digits than a floating-point number.
    """
    library = polars()
    # Methods of a series look it up by its name, as a pattern.
    called, column = column.name, column.alias("column")
    if column.dtype == library.Boolean or column.dtype.is_numeric():
        cast = column.cast(library.Float64)
    elif column.dtype == library.Null:
        cast = library.Series(column.name, [None] * len(column), dtype=library.Float64)
    elif column.dtype == library.String:
        words = column.str.strip_chars()
        lower = words.str.to_lowercase()
        words = words.zip_with(~lower.is_in(list(_TRUTHS)).fill_null(False), lower.replace(_TRUTHS))
        cast = words.cast(library.Float64, strict=False)
        wrong = (cast.is_null() & words.is_not_null() & ~lower.is_in(list(_MISSING)).fill_null(True)).to_numpy()
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            word = one_line(str(column[place]))[:40]
            more = f"; {int(wrong.sum()) - 1:,} more are none" if wrong.sum() > 1 else ""
            raise UserError(f"{name}, row {int(rows[place]) + 1:,}, column {called!r}: {word!r} is no number{more}")
    else:
        raise UserError(f"{name}: column {called!r} holds {column.dtype}, not numbers")
    numbers: npt.NDArray[np.float64] = cast.fill_null(float("nan")).to_numpy().astype(np.float64)
    if not column.dtype.is_float() and len(large := np.flatnonzero(np.abs(numbers) >= EXACT)):
        for place in large.tolist():
            word = str(column[place]).strip()
            if word.lstrip("+-").isdecimal() and int(word) != int(numbers[place]):
                raise UserError(
                    f"{name}, row {int(rows[place]) + 1:,}, column {called!r}: {word[:40]} has more digits than a "
                    "floating-point number; subtract a constant from the column"
                )
    return numbers
