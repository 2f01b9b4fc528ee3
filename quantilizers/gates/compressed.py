"""The gate of compressed files: gzip, bzip2 and xz, unpacked to no more than deflate could have packed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any

from quantilizers.gates.zips import MOST_DEFLATED

_OPENERS: dict[bytes, Callable[[io.BytesIO], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
#: What a small file may unpack to at least, in bytes.
_ROOM = 2**26
_AT_ONCE = 2**22


def is_compressed(head: bytes) -> bool:
    """Whether a file that begins so is compressed in one of the three formats."""
    return head.startswith(tuple(_OPENERS))


def unpack(content: bytes) -> bytes:
    """Return what is compressed in `content`.

    Raises:
        ValueError: it is damaged, or unpacks to far more than text is compressed by.
    """
    (opener,) = (opener for mark, opener in _OPENERS.items() if content.startswith(mark))
    most = max(_ROOM, MOST_DEFLATED * len(content))
    try:
        with opener(io.BytesIO(content)) as file:
            # Python allocates what is asked for, also if there is less.
            unpacked = io.BytesIO()
            while (left := most + 1 - unpacked.tell()) and (part := file.read(min(left, _AT_ONCE))):
                unpacked.write(part)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(str(error)) from None
    if unpacked.tell() > most:
        raise ValueError(f"it has {len(content):,} bytes, and unpacks to more than {most:,}")
    return unpacked.getvalue()
