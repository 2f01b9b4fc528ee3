"""Columns of tables as arrays: numbers, text, and lists of numbers, one a step or one an episode."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from quantilizers.errors import UserError
from quantilizers.gates.json_files import parse_json
from quantilizers.table_files import numbers_of, polars

if TYPE_CHECKING:
    import polars as pl

Array = npt.NDArray[Any]


def flat_columns(frame: pl.DataFrame, prefix: str = "") -> Iterator[tuple[str, pl.Series]]:
    """Yield the columns of a table; the fields of a structure are columns called `structure/field`."""
    library = polars()
    for column in frame:
        # The `datasets` library keeps arrays as a type of its own, whose storage is lists.
        series = column.ext.storage() if isinstance(column.dtype, library.BaseExtension) else column
        if isinstance(series.dtype, library.Struct):
            yield from flat_columns(series.struct.unnest(), f"{prefix}{series.name}/")
        else:
            yield f"{prefix}{series.name}", series.alias(f"{prefix}{series.name}")


_NUMBERED = re.compile(r"^(.*?[^\d_.\[\]])[_.\[]?(\d+)\]?$")


def folded_columns(columns: Mapping[str, pl.Series]) -> dict[str, list[pl.Series]]:
    """Join columns whose names differ in a number at their end, which counts from 0 or 1 without a gap."""
    families: dict[str, list[tuple[int, str]]] = {}
    for name, series in columns.items():
        found = _NUMBERED.match(name)
        if found and not is_list(series):
            families.setdefault(found[1], []).append((int(found[2]), name))
    folded = {name: [series] for name, series in columns.items()}
    for stem, members in families.items():
        members.sort()
        first = members[0][0]
        if (
            stem in columns
            or first > 1
            or [number for number, _ in members] != list(range(first, first + len(members)))
        ):
            continue
        folded[stem] = [columns[name] for _, name in members]
        for _, name in members:
            del folded[name]
    return folded


def is_list(series: pl.Series) -> bool:
    """Return whether a column holds lists, or text that is lists."""
    library = polars()
    return isinstance(series.dtype, (library.List, library.Array)) or (
        series.dtype == library.String and len(series) > 0 and str(series[0] or "").lstrip().startswith("[")
    )


def plain(path: Path, series: pl.Series, rows: Array) -> Array:
    """Return a column as an array (R,) of numbers, or of text if it is no numbers."""
    library = polars()
    if (series.dtype.is_integer() or series.dtype == library.Boolean) and not series.null_count():
        return series.to_numpy()
    if series.dtype == library.Float32:
        return series.fill_null(float("nan")).to_numpy()
    if series.dtype in (library.Categorical, library.Enum):
        series = series.cast(library.String)
    try:
        return numbers_of(str(path), series, rows)
    except UserError:
        if series.dtype != library.String:
            raise
        return series.fill_null("").to_numpy().astype(np.str_)


def nested(path: Path, name: str, series: pl.Series, levels: int) -> tuple[Array, Array]:
    """Return the numbers of a column of lists (n, …), and the length of each row's list.

    Args:
        path: the file, for messages.
        name: the column's.
        series: lists, or text that is lists in JSON.
        levels: 1 joins the outer lists, which may differ in length; 0 keeps a row as one entry, whose lists are alike.

    Raises:
        UserError: inner lists differ in length, or hold something other than numbers.
    """
    library = polars()
    if series.dtype == library.String:
        series = _decoded(path, name, series)
    lengths = np.ones(len(series), dtype=np.int64)
    shape: list[int] = []
    flat = series
    first = True
    while isinstance(flat.dtype, (library.List, library.Array)):
        as_list = flat.arr.to_list() if isinstance(flat.dtype, library.Array) else flat
        if as_list.null_count():
            raise UserError(f"{path}: column {name!r} has rows without a list")
        number = as_list.list.len().to_numpy().astype(np.int64)
        if first and levels:
            lengths = number
            as_list = as_list.filter(as_list.list.len() > 0)
        else:
            if len(number) and number.min() != number.max():
                raise UserError(
                    f"{path}: the lists of column {name!r} differ in length, {int(number.min())} to {int(number.max())}"
                )
            shape.append(int(number[0]) if len(number) else 0)
        first = False
        flat = as_list.explode()
    if not (flat.dtype.is_numeric() or flat.dtype == library.Boolean):
        raise UserError(f"{path}: column {name!r} holds lists of {flat.dtype}, not of numbers")
    if flat.null_count():
        flat = flat.cast(library.Float64).fill_null(float("nan"))
    return flat.to_numpy().reshape(-1, *shape), lengths


def _decoded(path: Path, name: str, series: pl.Series) -> pl.Series:
    """Return lists that stand as text, `[0.1, 0.2]` as JSON has them or `[0.1 0.2]` as NumPy prints them."""
    library = polars()
    found = []
    for row, text in enumerate(series.to_list(), 1):
        try:
            if "..." in str(text):
                raise ValueError("it was shortened with … when it was printed; save all of it")
            spaced = re.sub(r"(?<=[\d.\]])\s+(?=[-+\d.\[])", ", ", str(text).strip())
            found.append(parse_json(re.sub(r"(?<=\d)\.(?!\d)", ".0", spaced)))
        except ValueError as error:
            raise UserError(f"{path}, row {row:,}, column {name!r}: it is no list of numbers ({error})") from None
    try:
        decoded: pl.Series = library.Series(name, found)
    except (TypeError, library.exceptions.PolarsError):
        raise UserError(f"{path}: the lists of column {name!r} are not alike") from None
    return decoded


def text_lists(series: pl.Series) -> list[list[str]] | None:
    """Return a column of lists of text; None if it is something else."""
    library = polars()
    kind = series.dtype
    is_text = isinstance(kind, library.List) and kind.inner == library.String
    return series.to_list() if is_text else None
