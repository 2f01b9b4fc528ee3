"""The gate of zip archives: npz and `.keras` files, and downloads."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

#: Most bytes that deflate packs into one; no honest archive claims more.
MOST_DEFLATED = 1032
#: Largest directory in bytes, which is room for 50,000 members and their names.
_MAX_DIRECTORY = 2**22
_ENCRYPTED = 1


class _BoundedReads(io.BufferedReader):
    """A file that refuses long reads, because `zipfile` reads as much as a directory claims to have."""

    most = _MAX_DIRECTORY

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > self.most:
            raise ValueError(f"its directory has {size:,} bytes")
        return super().read(size)


@contextmanager
def open_zip(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Open the zip in an open file, after checking the sizes that its directory claims; the file stays open.

    A member is stored or deflated, not encrypted, and claims what its bytes can hold; together they have no more bytes
    than the file.

    Raises:
        Exception: it is no such zip; `zipfile` raises many kinds.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    bounded = _BoundedReads(file)  # type: ignore[arg-type]  # a buffered reader may stand for a raw one
    try:
        with zipfile.ZipFile(bounded) as archive:
            bounded.most = size
            members = archive.infolist()
            for member in members:
                _check_claims(member)
            if sum(member.compress_size for member in members) > size:
                raise ValueError("its members have more bytes than the file")
            yield archive
    finally:
        bounded.detach()


def all_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the members of an archive that begins with the first of them.

    Raises:
        zipfile.BadZipFile: it was truncated: it ends in the directory of an npz file inside it, which is a zip as well.
    """
    members = archive.infolist()
    if members and min(member.header_offset for member in members) > 0:
        raise zipfile.BadZipFile("its directory is missing")
    return members


def _check_claims(member: zipfile.ZipInfo) -> None:
    name = member.filename[:60]
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name!r} is neither stored nor deflated")
    if member.flag_bits & _ENCRYPTED:
        raise ValueError(f"{name!r} is encrypted")
    most = member.compress_size * (MOST_DEFLATED if member.compress_type == zipfile.ZIP_DEFLATED else 1)
    if member.file_size > most:
        raise ValueError(f"{name!r} claims {member.file_size:,} bytes and has {member.compress_size:,}")


def read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Read a member of at most `most` bytes, and check its checksum.

    Raises:
        Exception: it is missing, longer or damaged; `zipfile` raises many kinds.
    """
    size = archive.getinfo(name).file_size
    if size > most:
        raise ValueError(f"its {name} has {size:,} bytes, more than {most:,}")
    with archive.open(name) as member:
        # Without a size, zipfile would unpack whatever the bytes hold.
        content = member.read(size)
    if len(content) != size:
        raise ValueError(f"its {name} has {len(content):,} bytes, not {size:,}")
    return content


def is_plain_name(name: str) -> bool:
    """Whether the name of an array or file in an archive is short and printable, and stays within its folder."""
    parts = name.split("/")
    return 0 < len(name) <= 200 and name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts)
