"""Files of tables in CSV, JSONL, Parquet and Arrow, read by polars, which reads only the columns that are needed."""

from __future__ import annotations

import io
import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from quantilizers.errors import NotInstalledError, UserError, did_you_mean, one_line, reason_of, shown
from quantilizers.gates.compressed import is_compressed, unpack
from quantilizers.gates.regular_files import open_regular
from quantilizers.numbers_in_words import counted

if TYPE_CHECKING:
    import polars as pl

#: The format of a file by its suffix.
FORMATS = {
    ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".arrow": "arrow",
}  # fmt: skip
#: Words for a missing value.
MISSING = ("", "na", "n/a", "nan", "null", "none")
_TRUTHS = {"true": "1", "false": "0"}
#: Bytes of a CSV file that are searched for records at a time.
_CHUNK = 2**24
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


def frame_of(name: str, columns: Sequence[str] | None = None, keys: Sequence[str] = ()) -> pl.DataFrame:
    """Read one file as a polars frame, words as they are.

    Args:
        name: of the file; `-` is standard input.
        columns: those to read; None reads all.
        keys: those among them whose words and numbers are different things, such as names of groups.

    Raises:
        UserError: it is no table, a column is missing, rows differ in their number of fields, or a key is text in one
            row and a number in another.
    """
    library = polars()
    kind, content = content_of(name)
    name = shown_name(name)
    records = None
    if kind in ("csv", "tsv"):
        records = CsvRecords.of(name, kind, content)
        content = records.without_blanks() or content
    source: Any = Path(name) if content is None else io.BytesIO(content)
    try:
        if records is not None:
            # polars leaves doubled quotes in the header as they are.
            lazy = library.scan_csv(
                source, separator=_SEPARATORS[kind], infer_schema=False,
                with_column_names=lambda names: [one.replace('""', '"') for one in names],
            )  # fmt: skip
        elif kind == "jsonl":
            lazy = library.scan_ndjson(source, infer_schema_length=None)
        elif kind == "parquet":
            lazy = library.scan_parquet(source)
        else:
            # The `datasets` library writes streams, other programs files.
            with io.BytesIO(content) if content is not None else open_regular(Path(name)) as file:
                is_file = file.read(6) == b"ARROW1"
            lazy = (library.read_ipc if is_file else library.read_ipc_stream)(source).lazy()
        names = lazy.collect_schema().names()
        for column in columns or ():
            if column not in names:
                raise UserError(f"{name} has no column {column!r}{_hint(column, names)}")
            if f"{column}_duplicated_0" in names:
                raise UserError(f"{name} has several columns {column!r}; rename all but one")
        if kind in _BINARY:
            number = int(lazy.select(library.len()).collect().item())
            if number > MOST_ROWS:
                raise UserError(
                    f"{name} has {number:,} rows, and one file may have {MOST_ROWS:,}; write whole groups to several"
                )
        if records is not None:
            records.check(name)
        wanted = lazy if columns is None else lazy.select([exactly(column) for column in columns])
        frame: pl.DataFrame = wanted.collect()
    except (library.exceptions.PolarsError, library.exceptions.PanicException, OSError, ValueError) as error:
        raise UserError(f"{name} cannot be read as {kind.upper()}: {_fault(kind, source, error, columns)}") from None
    if records is not None and len(frame) != len(records) - 1:
        raise UserError(f'{name} has quotes in the middle of fields; write "" for a quote, and quotes around its field')
    if kind == "jsonl":
        read = frame.columns if columns is None else columns
        if fault := _doubtful(source, frame, read, keys) or _lost_digits(source, frame, read, keys):
            raise UserError(f"{name}, {fault}")
    return frame


def shown_name(name: str) -> str:
    """Return a file's name for messages, in which `-` is standard input."""
    return "standard input" if name == "-" else name


def _hint(column: str, names: Sequence[str]) -> str:
    """Return how to name a column, instead of one that is missing."""
    named = {repr(one)[:40] if one != one.strip() else shown(one, 40): one for one in names}
    hint = did_you_mean(column, named) or ";"
    separator = next((sign for sign in _OTHER_SEPARATORS if len(names) == 1 and sign in names[0]), None)
    if separator is not None:
        return f"; its fields are separated by {_OTHER_SEPARATORS[separator]}"
    if all(re.fullmatch(r"[-+.,\d\se]*", one) for one in names):
        hint = "; its first line must name the columns;"
    return f"{hint} it has {', '.join([*named][:12])}"


def exactly(column: str) -> Any:
    """Return the column of a name, which polars takes for a pattern if it is `*` or like `^p.*$`."""
    pattern = column == "*" or (column.startswith("^") and column.endswith("$"))
    return polars().col(f"^{re.escape(column)}$" if pattern else column)


def content_of(name: str) -> tuple[str, bytes | None]:
    """Return a table's format, and its bytes decompressed and without byte order mark; None if the file needs neither.

    Raises:
        UserError: it is empty, damaged, or of another format.
    """
    try:
        if name == "-":
            content: bytes | None = standard_input()
            head = (content or b"")[:64]
        else:
            with open_regular(Path(name)) as file:
                content, head = None, file.read(64)
        if is_compressed(head):
            content = unpack(Path(name).read_bytes() if content is None else content)
            head = content[:64]
    except (OSError, ValueError) as error:
        raise UserError(f"{name} cannot be read: {reason_of(error)}") from None
    shown = shown_name(name)
    kind = None if name == "-" else FORMATS.get(suffix_of(Path(name)))
    if not head.strip() and (len(head) < 64 or kind is None):
        raise UserError(f"{shown} is empty")
    for mark, other in _OTHER_FORMATS.items():
        if head.startswith(mark):
            raise UserError(f"{shown} is {other}")
    if head.startswith(_BYTE_ORDER_MARK) and kind not in _BINARY:
        content = (Path(name).read_bytes() if content is None else content)[len(_BYTE_ORDER_MARK) :]
        head = content[:64]
    if kind is None:
        first = head.lstrip().partition(b"\n")[0]
        kind = "tsv" if b"\t" in first and b"," not in first else "csv"
        kind = "jsonl" if first.startswith(b"{") else kind
        kind = "parquet" if head.startswith(b"PAR1") else kind
        kind = "arrow" if head.startswith(_ARROW) else kind
    is_text = kind not in _BINARY
    if is_text and b"\0" in head:
        raise UserError(f"{shown} is no text; tables are CSV, TSV, JSONL or Parquet")
    if is_text and head.lstrip().startswith(b"[") and suffix_of(Path(name)) in (".json", ".jsonl", ".ndjson"):
        raise UserError(f"{shown} is a JSON array; JSONL has one object a line, which jq -c '.[]' writes")
    return kind, content


def standard_input() -> bytes:
    """Return what standard input holds, as it was read."""
    return _whole(sys.stdin.buffer)


@lru_cache(maxsize=1)
def _whole(stream: BinaryIO) -> bytes:
    """Return what standard input holds, which can be read only once."""
    return stream.read()


#: Formats that are no text.
_BINARY = ("parquet", "arrow")
#: How files and streams of Arrow begin.
_ARROW = (b"ARROW1", b"\xff\xff\xff\xff")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SEPARATORS = {"csv": ",", "tsv": "\t"}
#: What separates the only column of a header that holds it, and the way out.
_OTHER_SEPARATORS = {
    ";": "semicolons: save it with commas, and decimals with a point",
    "\t": "tabs: name the file .tsv",
    ",": "commas: name the file .csv",
}
_OTHER_FORMATS = {
    b"PK\x03\x04": "an archive or a spreadsheet; save the table as CSV",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; decompress it first, or write .gz",
}


def suffix_of(path: Path) -> str:
    """Return the suffix that names the format, before that of a compressed file."""
    return (path.with_suffix("") if path.suffix.lower() in (".gz", ".bz2", ".xz") else path).suffix.lower()


class _NotJSONError(ValueError):
    """A word that JSON or a floating-point number cannot hold, and the way out."""


def _not_json(word: str) -> float:
    raise _NotJSONError(f"{word} is not JSON; write null")


def _finite(word: str) -> float:
    if math.isinf(value := float(word)):
        raise _NotJSONError(
            f"{word[:40]} is beyond the largest floating-point number; rescale the column, or write null"
        )
    return value


def _whole_number(word: str) -> int:
    _finite(word)
    return int(word)


def _fault(kind: str, source: Any, error: Exception, columns: Sequence[str] | None) -> str:
    """Describe why a file cannot be read, with the line where JSON is broken or changes its type."""
    fault = _fault_of_json(source, columns or ()) if kind == "jsonl" else ""
    described = one_line(str(error).splitlines()[0] if str(error) else type(error).__name__)
    return fault or (f"{described}; save it as UTF-8" if "utf" in described.lower() else described)


def _bytes_of(source: Any) -> bytes:
    content: bytes = source.read_bytes() if isinstance(source, Path) else source.getvalue()
    return content


def _fault_of_json(source: Any, columns: Sequence[str], once: Sequence[str] | None = None) -> str:
    """Describe the first line that is not JSON or changes a column's type; empty if none does.

    Columns of `once` may not occur twice in a line, or have half of a surrogate pair; None is all, of the latter alone.
    """
    before: dict[str, str] = {}
    for place, line in enumerate(_bytes_of(source).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(
                line.decode(), parse_constant=_not_json, parse_float=_finite, parse_int=_whole_number,
                object_pairs_hook=_Fields,
            )  # fmt: skip
        except json.JSONDecodeError as fault:
            return f"line {place:,} is not JSON: {fault.msg.lower()} at character {fault.pos + 1}"
        except UnicodeDecodeError as fault:
            return f"line {place:,} is not UTF-8 at byte {fault.start + 1}; save it as UTF-8"
        except _NotJSONError as fault:
            return f"line {place:,}: {fault}"
        except (ValueError, RecursionError):
            return f"line {place:,} is not JSON"
        if not isinstance(fields, _Fields):
            return f"line {place:,} is not an object with a field for each column"
        if named := sorted(fields.twice & {*(once or ())}):
            return f"line {place:,} has {named[0]!r} twice"
        halves = [one for one in (fields if once is None else once) if _has_half(one) or _has_half(fields.get(one))]
        if halves:
            return f"line {place:,}: {shown(halves[0], 40)!r} has half of a surrogate pair, which is no character"
        for column in columns:
            found = _JSON_TYPES.get(type(fields.get(column)))
            if found is not None and before.setdefault(column, found) != found:
                return f"line {place:,}: {column!r} is {found}, and {before[column]} before"
    return ""


def _doubtful(source: Any, frame: pl.DataFrame, columns: Sequence[str], keys: Sequence[str]) -> str:
    """Describe the first line of JSONL that has a column twice, or in which a key changes its type; empty if none has.

    Lines are parsed only if a first look, which is much faster, finds more names of columns than rows, or values of a
    key that are not all text.
    """
    content = _bytes_of(source)
    quoted = {column: json.dumps(column, ensure_ascii=False).encode() for column in columns}
    twice = any(content.count(one) > len(frame) or _may_be_escaped(column, content) for column, one in quoted.items())
    texts = [key for key in keys if frame.schema[key] == polars().String]
    mixed = [
        key for key in texts
        if re.findall(re.escape(quoted[key]) + rb"\s*:\s*(.)", content) != [b'"'] * len(frame)
    ]  # fmt: skip
    halved = b"\\u" in content and _HALF.search(content)  # which takes 2 s for 100 MB
    return _fault_of_json(source, mixed, columns) if twice or mixed or halved else ""


#: A number of JSON's escapes that is half of a pair, unless its backslash is itself escaped.
_HALF = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)


def _has_half(value: Any) -> bool:
    """Return whether text, or some text in a list or an object, has half of a surrogate pair."""
    return re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)) is not None


def _may_be_escaped(column: str, content: bytes) -> bool:
    """Return whether JSON may spell a column's name in another way, by the numbers of its signs."""
    if b"\\u" in content:
        if not column.isascii():
            return True
        signs = b"|".join(b"%04x" % ord(sign) for sign in {*column})
        if re.search(rb"\\u(?:" + signs + rb")", content, re.IGNORECASE):
            return True
    return "/" in column and b"\\/" in content


def _lost_digits(source: Any, frame: pl.DataFrame, columns: Sequence[str], keys: Sequence[str]) -> str:
    """Describe the first number of JSONL with more digits than polars read, in a column of decimals; empty if none has.

    Whole numbers are read exactly, unless the column has a decimal. Lines are parsed only if there are large numbers.
    """
    library = polars()
    large = []
    for column in columns:
        values = frame[column].alias("column")
        while isinstance(values.dtype, library.List):
            values = values.explode()
        if values.dtype.is_float() and (values.abs() >= EXACT).any():
            large.append(column)
    for place, line in enumerate(_bytes_of(source).split(b"\n") if large else (), 1):
        try:
            fields = json.loads(line, parse_int=_Written, parse_float=_Written) if line.strip() else {}
        except (ValueError, RecursionError):
            return f"line {place:,} is not JSON"
        for column in large if isinstance(fields, dict) else ():
            left = [fields.get(column)]
            while left:
                value = left.pop()
                if isinstance(value, list):
                    left += value
                elif isinstance(value, _Written) and loses_digits(value):
                    way = "write names of groups as text" if column in keys else "subtract a constant from the column"
                    return (
                        f"line {place:,}: {column!r} is {value[:40]}, which has more digits than a floating-point "
                        f"number; {way}"
                    )
    return ""


class _Written(str):
    """A number as it is written in JSON."""

    __slots__ = ()


def loses_digits(written: str) -> bool:
    """Return whether a number from 2⁵³ on, or from −2⁵³ down, is rounded when it is read as a floating-point number.

    Digits that only a floating-point number would be written with are not lost: the shortest that are read as that
    number, or 17 and more that are rounded from it.

    >>> [loses_digits(one) for one in ("9007199254740993", "9007199254740993.0", "1.2345678901234567e+20")]
    [True, True, False]
    """
    nearest = float(written)
    if not math.isfinite(nearest) or (exact := Decimal(written)) == Decimal(nearest):
        return False
    if written.strip().lstrip("+-").isdecimal():
        return True
    digits = len(exact.as_tuple().digits)
    rounded = Context(prec=max(digits, 1)).create_decimal(Decimal(nearest))
    return exact != Decimal(repr(nearest)) and (digits < 17 or exact != rounded)


class _Fields(dict[str, Any]):
    """An object of JSON, and which of its names occur twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.twice = {name for name in self if names.count(name) > 1} if len(self) < len(names) else set[str]()


_JSON_TYPES = {
    bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", _Fields: "an object",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class CsvRecords:
    """Where the records of a CSV file are, the header first, without blank lines; `[…]` returns the bytes of one.

    Attributes:
        content: bytes of the file.
        starts: (N,), of each record.
        ends: (N,), after its new line.
        fields: (N,), number of fields.
        blanks: whether there are blank lines.
    """

    content: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    fields: npt.NDArray[np.int64]
    blanks: bool

    @classmethod
    def of(cls, name: str, kind: str, content: bytes | None) -> CsvRecords:
        """Find records: lines, but for those that end within quotes.

        Raises:
            UserError: a quote is not closed, or in the middle of a field, where readers differ, or lines end in a
                carriage return alone.
        """
        whole = np.frombuffer(content, np.uint8) if content is not None else np.memmap(name, np.uint8, "r")
        newlines, separators, inside = [], [], 0
        misplaced = list[int]()
        for begin in range(0, len(whole), _CHUNK):
            part = whole[begin : begin + _CHUNK]
            quoted = np.cumsum(part == ord('"'), dtype=np.uint8)
            outside = (quoted + np.uint8(inside)) % 2 == 0
            newlines.append(np.flatnonzero((part == ord("\n")) & outside) + begin)
            misplaced += _misplaced_quotes(whole, np.flatnonzero(part == ord('"')) + begin, inside, _SEPARATORS[kind])
            separators.append(np.flatnonzero((part == ord(_SEPARATORS[kind])) & outside) + begin)
            inside = (inside + int(quoted[-1])) % 2
        ends = np.concatenate(newlines).astype(np.int64) + 1
        ends = ends if len(ends) and ends[-1] == len(whole) else np.append(ends, len(whole))
        starts = np.append(0, ends[:-1])
        fields = np.diff(np.searchsorted(np.concatenate(separators), ends), prepend=0) + 1
        blank = np.zeros(len(starts), bool)
        for place in np.flatnonzero((fields == 1) & np.isin(whole[starts], list(b" \r\n"))).tolist():
            blank[place] = not whole[starts[place] : ends[place]].tobytes().strip()
        kept = ~blank
        found = cls(whole, starts[kept], ends[kept], fields[kept], bool(blank.any()))
        if inside:
            row = len(found) - 1
            raise UserError(f"{name}: a quote {f'in row {row:,}' if row else 'of the header'} is not closed")
        if misplaced:
            row = int(np.searchsorted(found.starts, misplaced[0], side="right")) - 1
            raise UserError(
                f"{name}: {f'row {row:,}' if row else 'the header'} has a quote in the middle of a field; "
                'write "" for a quote, and quotes around its field'
            )
        if len(found) == 1 and b"\r" in found[0].strip():
            raise UserError(f"{name} has lines that end in a carriage return alone; save it with line feeds")
        return found

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, place: int) -> bytes:
        return self.content[self.starts[place] : self.ends[place]].tobytes()

    def without_blanks(self) -> bytes | None:
        """Return the content without blank lines; None if there are none."""
        return b"".join(self[place] for place in range(len(self))) if self.blanks else None

    def check(self, name: str) -> None:
        """Refuse a row that has more or fewer fields than the header; raise a UserError that names it."""
        wrong = np.flatnonzero(self.fields != self.fields[0])
        if len(wrong):
            found = counted(int(self.fields[wrong[0]]), "field")
            more = f"; {counted(len(wrong) - 1, 'more row')} with another number" if len(wrong) > 1 else ""
            raise UserError(f"{name}, row {wrong[0]:,} has {found}, and the header {self.fields[0]:,}{more}")


def _misplaced_quotes(
    whole: npt.NDArray[np.uint8], quotes: npt.NDArray[np.intp], inside: int, separator: str
) -> list[int]:
    """Return the first of these quotes that neither begins nor ends a field, nor is one of two that stand for one.

    Args:
        whole: bytes of the file.
        quotes: where some are, all within a part of the file.
        inside: 1 if the part begins within quotes, else 0.
        separator: of fields.
    """
    opens = (np.arange(len(quotes)) + inside) % 2 == 0
    sides = np.where(opens, quotes - 1, quotes + 1)
    beyond = (sides < 0) | (sides == len(whole))
    beside = whole[np.where(beyond, 0, sides)]
    allowed = [ord(separator), ord("\n"), ord('"')]
    fits = beyond | np.isin(beside, allowed) | (~opens & (beside == ord("\r")))
    return [int(quotes[place]) for place in np.flatnonzero(~fits)[:1]]


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
        wrong = (cast.is_null() & words.is_not_null() & ~lower.is_in(list(MISSING)).fill_null(True)).to_numpy()
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            word = shown(column[place], 40)
            way = "; CSV cannot hold lists, JSONL and Parquet can" if word.startswith("[") else ""
            more = f"; {counted(int(wrong.sum()) - 1, 'more row')} without one" if wrong.sum() > 1 else ""
            raise UserError(
                f"{name}, row {int(rows[place]) + 1:,}, column {called!r}: {word!r} is no number{way}{more}"
            )
    else:
        raise UserError(f"{name}: column {called!r} holds {column.dtype}, not numbers")
    numbers: npt.NDArray[np.float64] = cast.fill_null(float("nan")).to_numpy().astype(np.float64)
    if not column.dtype.is_float() and len(large := np.flatnonzero(np.abs(numbers) >= EXACT)):
        for place in large.tolist():
            word = str(column[place]).strip()
            if loses_digits(word):
                raise UserError(
                    f"{name}, row {int(rows[place]) + 1:,}, column {called!r}: {word[:40]} has more digits than a "
                    "floating-point number; subtract a constant from the column"
                )
    return numbers
