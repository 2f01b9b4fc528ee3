"""The gate of compressed files, gzip, bzip2 and xz, and of tar.bz2, unpacked to no more than is plausible."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from quantilizers.gates.regular_files import open_regular, size_of
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


#: Most bytes of a file in an archive of pictures, and how many times its own size an archive may unpack to.
MOST_IN_ARCHIVE, _MOST_TIMES = 2**24, 20


class _Counted:
    """A bzip2 file of which no more than `most` bytes can be read."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._left, self._most = bz2.BZ2File(file), most, most

    def read(self, number: int = -1) -> bytes:
        """Return the next bytes."""
        content = self._file.read(min(number, self._left + 1) if number >= 0 else self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {self._most:,} bytes")
        return content


def files_in_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each regular file in an archive of tar.bz2, in order; nothing is unpacked to disk.

    Raises:
        ValueError: it is damaged, or a file or all of it is too large.
        UserError: it cannot be opened; see `regular_files.open_regular`.
    """
    with open_regular(path) as file:
        most = _ROOM + _MOST_TIMES * size_of(file)
        try:
            with tarfile.open(fileobj=_Counted(file, most), mode="r|") as archive:  # type: ignore[call-overload]
                for member in archive:
                    if member.isreg() and member.size > MOST_IN_ARCHIVE:
                        raise ValueError(f"its file {member.name!r} has {member.size:,} bytes")
                    content = archive.extractfile(member) if member.isreg() else None
                    if content is not None:
                        yield member.name, content.read()
                    archive.members.clear()  # which it would keep
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ValueError(str(error)) from None
