"""The gate of JSON, in files and in members and arrays of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from quantilizers.gates.regular_files import read_whole

#: Longest text in bytes.
MAX_BYTES = 2**28
#: Memory in bytes that values may take beyond the length of their text.
_ROOM = 100 * 2**20
#: Bytes that Python takes for a value which begins with, or follows, a character.
_TAKEN = {b"[": 64, b"{": 240, b",": 40, b'"': 30}


def read_json(path: Path, *, finite: bool = False) -> Any:
    """Read a JSON file, which may contain anything; see `parse_json`.

    Raises:
        UserError: it cannot be opened, or is too long; see `regular_files.open_regular`.
        ValueError: it is no JSON, or its values would take much more memory than their text.
    """
    return parse_json(read_whole(path, MAX_BYTES), finite=finite)


def parse_json(text: str | bytes, *, finite: bool = False) -> Any:
    """Return the value of a JSON text.

    Args:
        text: in UTF-8 if it is bytes.
        finite: refuse NaN and infinity, which Python writes and JSON does not have.

    Raises:
        ValueError: it is no JSON, nested too deeply, or its values would take much more memory than their text.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} letters")
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    taken = sum(size * content.count(sign) for sign, size in _TAKEN.items())
    # One letter beyond ASCII widens all.
    taken += len(content) * (1 if content.isascii() else 4)
    if taken > 2 * len(content) + _ROOM:
        raise ValueError(f"its values would take {taken:,} bytes of memory")
    try:
        return json.loads(text if isinstance(text, str) else text.decode(), parse_constant=_refuse if finite else None)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"it holds {word}")
