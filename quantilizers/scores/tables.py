"""Tables of scores: columns of numbers and groups, of one file or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantilizers.errors import UserError, check_name, did_you_mean, shown
from quantilizers.files import sha256_of
from quantilizers.gates.json_files import read_json
from quantilizers.numbers_in_words import counted
from quantilizers.rewards import FloatArray
from quantilizers.table_files import (
    FORMATS,
    MISSING,
    content_of,
    exactly,
    frame_of,
    numbers_of,
    polars,
    shown_name,
    suffix_of,
)


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Columns of a table of scores, R rows long.

    Attributes:
        numbers: columns of numbers (R,), by name; NaN where one is missing.
        group: (R,) decision problem of each row; None where there is no such column and no list.
        rows: (R,) which row of its file each is; of a wide table several are of one row.
        dropped: number of rows that were left out, because a score is missing, NaN or infinite.
        files: (R,) which file each row is of.
        group_type: "text", "a number", or another type of the groups' names; empty where the format has no types.
    """

    numbers: dict[str, FloatArray]
    group: np.ndarray[Any, Any] | None
    rows: np.ndarray[Any, Any]
    dropped: int
    files: np.ndarray[Any, Any]
    group_type: str = ""

    @property
    def number(self) -> int:
        """R."""
        return len(self.rows)


def find_files(names: Sequence[str]) -> list[str]:
    """Return the files of a command line, with those of a folder in the order of their names; `-` is standard input.

    Raises:
        UserError: a file does not exist, or a folder has no table.
    """
    found: list[str] = []
    for name in names:
        try:
            found += _find(name)
        except OSError as error:
            raise UserError(f"{shown(name, 60)} cannot be opened: {error.strerror or error}") from None
    for name in found:
        check_name(name)
    places = ["-" if name == "-" else str(Path(name).resolve()) for name in found]
    twice = next((name for at, name in enumerate(found) if places[at] in places[:at]), None)
    if twice is not None:
        raise UserError(f"{'standard input' if twice == '-' else twice} is named twice")
    _check_origins(found)
    return found


def _check_origins(files: Sequence[str]) -> None:
    """Refuse to read a file that this program wrote from another of these files, whose samples would count twice."""
    named = {Path(file).name: file for file in files if file != "-"}
    for file in named.values():
        path = Path(file)
        records = [path.with_name(f"{path.name}.provenance.json")]
        if path.name == "curve.csv":
            records.append(path.with_name("curve.json"))
        for record in records:
            try:
                sources = dict(read_json(record)["sha256"]) if record.is_file() else {}
            except (UserError, ValueError, LookupError, TypeError):  # another program's file
                continue
            for source, digest in sources.items():
                other = named.get(Path(str(source)).name, file)
                if other != file and sha256_of(Path(other)) == digest:
                    raise UserError(f"{file} was written from {other}, as {record.name} says; read one of them")


def _find(name: str) -> list[str]:
    """Return the files of one word of a command line."""
    path = Path(name)
    if not name.strip():
        raise UserError("a file's name is empty")
    if name != "-" and path.is_dir():
        inside = sorted(str(one) for one in path.iterdir() if suffix_of(one) in FORMATS and one.is_file())
        if not inside:
            raise UserError(f"{name} has no table; tables are {', '.join(FORMATS)}")
        return inside
    if name == "-" or path.is_file():
        return [name]
    if path.exists():
        raise UserError(f"{name} is not a regular file; - reads standard input")
    if path.is_symlink():
        raise UserError(f"{name} is a link to a file that does not exist")
    beside = [str(one) for one in path.parent.iterdir()] if path.parent.is_dir() else []
    raise UserError(f"there is no file {name}{did_you_mean(name, beside) or ''}".rstrip(";"))


def read_scores(
    files: Sequence[str],
    proxies: Sequence[str],
    true: str | None = None,
    group: str | None = None,
    cost: str | None = None,
    *,
    drop: bool = False,
    may_be_empty: bool = False,
) -> ScoreTable:
    """Read columns of tables.

    A cell of a wide table holds the list of a problem's scores; each row is a group then, unless a column names it.

    Args:
        files: paths, or `-` for standard input.
        proxies: columns by which samples are selected.
        true: column of the true score, which may be missing in some rows.
        group: column that names each row's decision problem.
        cost: column of a cost.
        drop: leave out rows whose proxy or cost is missing, NaN or infinite, or whose true score is infinite.
        may_be_empty: whether a table without rows is one, as a part of a larger one may be.

    Raises:
        UserError: a column is missing or holds words, a score is not finite, there are no rows, or some files hold
            lists and others do not, and no column names the groups.
    """
    wanted = list(dict.fromkeys(name for name in (*proxies, true, cost) if name is not None))
    parts = [_read(name, wanted, group, several=len(files) > 1, drop=drop) for name in files]
    numbers = {name: np.concatenate([part.numbers[name] for part in parts]) for name in wanted}
    without = [place for place, part in enumerate(parts) if part.group is None and part.number]
    if without and any(part.group is not None and part.number for part in parts):
        wide = next(place for place, part in enumerate(parts) if part.group is not None and part.number)
        raise UserError(
            f"{files[wide]} holds lists, a group in each row, and {files[without[0]]} one sample a row; name the "
            "column of groups with --group, or read them apart"
        )
    group_type = (
        "" if group is None else common_type(group, dict(zip(files, (part.group_type for part in parts), strict=True)))
    )
    named = [part.group for part in parts if part.group is not None]
    groups = None if without or not named else np.concatenate(named)
    rows = np.concatenate([part.rows for part in parts])
    places = np.repeat(np.arange(len(files)), [part.number for part in parts])
    if not len(rows) and not may_be_empty:
        raise UserError(f"{', '.join(map(shown_name, files))}: there are no rows")
    bad = np.zeros(len(rows), bool)
    for name in wanted:
        column = numbers[name]
        wrong = np.isinf(column) if name == true and name not in proxies else ~np.isfinite(column)
        if wrong.any() and not drop:
            first = int(np.flatnonzero(wrong)[0])
            here = places == places[first]
            others = len(np.unique(places[wrong])) - 1
            more = f"; {counted(others, 'more file')} cannot be used" if others else ""
            raise UserError(
                f"{shown_name(files[places[first]])}: {int(wrong[here].sum()):,} of {int(here.sum()):,} values of "
                f"{name!r} are missing, NaN or infinite, the first in row {int(rows[first]) + 1:,}; leave such rows "
                f"out with --drop{more}"
            )
        bad |= wrong
    kept, dropped = ~bad, int(bad.sum()) + sum(part.dropped for part in parts)
    if not kept.any() and not may_be_empty:
        raise UserError(f"{', '.join(map(shown_name, files))}: no row has finite scores")
    numbers = {name: column[kept] for name, column in numbers.items()}
    return ScoreTable(numbers, None if groups is None else groups[kept], rows[kept], dropped, places[kept], group_type)


def common_type(group: str, types: Mapping[str, str]) -> str:
    """Return the type that names of groups have in all files, of the type in each; empty if no file's format has types.

    Raises:
        UserError: they are of one type in a file, and of another type in another: 1 and "1" are two groups.
    """
    typed = {file: one for file, one in types.items() if one}
    first, *others = typed or [""]
    for file in others:
        if typed[file] != typed[first]:
            raise UserError(
                f"{shown_name(file)}: {group!r} is {typed[file]}, and {typed[first]} in {shown_name(first)}; write it "
                "in one type"
            )
    return typed.get(first, "")


def _read(name: str, wanted: Sequence[str], group: str | None, *, several: bool, drop: bool) -> ScoreTable:
    library = polars()
    keys_of = [] if group is None else [group]
    columns = list(dict.fromkeys([*wanted, *keys_of]))
    frame = frame_of(name, columns, keys_of).with_row_index("\x00row")
    file, name = name, shown_name(name)
    frame = frame.with_columns(*(one.arr.to_list() for one in frame if isinstance(one.dtype, library.Array)))
    dropped = 0
    lists = [column for column in columns if isinstance(frame.schema[column], library.List)]
    groups: Any = None
    group_type = ""
    if lists:
        if group in lists:
            raise UserError(f"{name}: column {group!r} holds lists; a group is one value a row")
        single = next((one for one in wanted if one not in lists and frame.schema[one] != library.Null), None)
        if single is not None:
            raise UserError(
                f"{name}: column {lists[0]!r} holds lists, and {single!r} one value a row; a wide table has lists of "
                "all scores"
            )
        lengths = np.stack([frame[column].list.len().cast(library.Int64).fill_null(-1).to_numpy() for column in lists])
        empty_lists = lengths.max(axis=0) == 0
        if empty_lists.any() and not drop:
            first = int(empty_lists.argmax()) + 1
            raise UserError(f"{name}, row {first:,} holds an empty list; leave such rows out with --drop")
        uneven = (np.ptp(lengths, axis=0) > 0).nonzero()[0]
        if len(uneven):
            raise UserError(f"{name}, row {int(uneven[0]) + 1:,}: the lists {', '.join(lists)} differ in length")
        dropped = int(empty_lists.sum())
        frame = frame.filter(~library.Series(empty_lists)).explode([exactly(column) for column in lists])
        words = frame["\x00row"].cast(library.String).to_numpy()
        groups = np.array([f"{name}, row {int(one) + 1}" for one in words]) if several else words.astype(np.int64) + 1
    if group is not None:
        keys = frame[group].alias("group")
        if len(keys) and keys.dtype != library.Null:
            group_type = _type_of(file, keys.dtype)
        empty = keys.is_null()
        among = ""
        if keys.dtype.is_float():
            empty |= keys.is_nan().fill_null(True)
            # One number has one name, whatever the type of its column in another file.
            whole = keys.cast(library.Int64, strict=False)
            is_whole = (whole.cast(library.Float64) == keys.cast(library.Float64)).fill_null(False)
            keys = whole.cast(library.String).zip_with(is_whole, keys.cast(library.String))
        elif keys.dtype == library.String:
            lower = keys.str.strip_chars().str.to_lowercase()
            empty |= lower.is_in(list(MISSING)).fill_null(True)
            among = ", among them words for a missing one, such as NA" if (lower.is_in(list(MISSING[1:]))).any() else ""
        if empty.any():
            first = int(frame["\x00row"].filter(empty)[0]) + 1
            raise UserError(
                f"{name}: {counted(int(empty.sum()), 'row')} without {group!r}{among}, the first in row "
                f"{first:,}; each row belongs to one group: name it, or remove the row, which --drop does not"
            )
        try:
            keys = keys.cast(library.String)
        except library.exceptions.PolarsError:
            raise UserError(f"{name}: column {group!r} holds {keys.dtype}, which is no text") from None
        null = keys.str.contains("\0", literal=True)
        if null.any():
            first = int(frame["\x00row"].filter(null)[0]) + 1
            raise UserError(f"{name}, row {first:,}: {group!r} has a null character, which no name of a group may have")
        groups = keys.to_numpy().astype(str)
    rows = frame["\x00row"].to_numpy().astype(np.int64)
    numbers = {column: numbers_of(name, frame[column], rows) for column in wanted}
    return ScoreTable(numbers, groups, rows, dropped, np.zeros_like(rows), group_type)


def _type_of(file: str, kind: Any) -> str:
    """Describe the polars type of a column of names; empty in CSV, where all is text."""
    if kind.is_numeric():
        return "a number"
    if kind != polars().String:
        return "text" if kind in (polars().Categorical, polars().Enum) else str(kind)
    suffix = FORMATS.get(suffix_of(Path(file)))
    return "" if (suffix or content_of(file)[0]) in ("csv", "tsv") else "text"
