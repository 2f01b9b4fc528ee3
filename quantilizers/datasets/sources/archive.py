"""Opening a zip from the network: what is in it is believed only after it was checked."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from quantilizers.errors import UserError, reason_of

#: The most that an archive may unpack to, in bytes, the arrays inside its npz files included.
MAX_UNPACKED_BYTES = 2 * 10**9
PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib")
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError)


@dataclass(frozen=True)
class Member:
    """A data file of an archive, unpacked.

    Attributes:
        path: where it lies in the archive.
        file: where it lies unpacked, under a name of our own.
    """

    path: PurePosixPath
    file: Path


def unpack_data(archive: Path, folder: Path) -> list[Member]:
    """Unpack the npz files of a zip.

    Nothing is written under a name that the archive chose.

    Args:
        archive: the zip.
        folder: an empty folder.

    Returns:
        The npz files, in the archive's order; macOS's resource forks and hidden files are left out.

    Raises:
        UserError: it is not a whole zip, has no npz file, or has something that no honest archive has: absolute
            paths, `..`, links, pickles, or more than 2 GB unpacked.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            if entries and min(entry.header_offset for entry in entries) > 0:
                # Cut off late enough, it ends in the directory of an npz file inside it, which is a zip as well.
                raise zipfile.BadZipFile("its directory is missing")
            entries = [entry for entry in entries if not _is_spurious_root(entry)]
            for entry in entries:
                _check_entry(entry)
            _check_size(sum(entry.file_size for entry in entries))
            members: list[Member] = []
            for entry in filter(_is_data, entries):
                file = folder / f"{len(members)}.npz"
                with opened.open(entry) as source, file.open("wb") as target:
                    shutil.copyfileobj(source, target)
                members.append(Member(PurePosixPath(entry.filename), file))
    except _DAMAGES as error:
        raise UserError(f"it is damaged or half ({reason_of(error)})") from None
    except OSError as error:
        raise UserError(f"cannot unpack it in {folder}: {error.strerror or error}") from None
    if not members:
        raise UserError("it has no .npz file")
    _check_size(sum(map(_unpacked_size, members)))
    return members


def _is_spurious_root(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry is the folder `/` that Dropbox puts into the zip of every shared folder."""
    return entry.orig_filename == "/" and entry.file_size == 0


def _check_entry(entry: zipfile.ZipInfo) -> None:
    # zipfile tidies names up; what the archive really says is in orig_filename.
    name = entry.orig_filename.replace("\\", "/")
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        raise UserError(f"it has the absolute path {name!r}, which no honest archive has")
    if ".." in name.split("/") or "\0" in name:
        raise UserError(f"it has the path {name!r}, which leaves its folder")
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UserError(f"it has the link or device {name!r}, which is never followed")
    if entry.flag_bits & 1:
        raise UserError(f"{name!r} in it is encrypted")
    if name.casefold().endswith(PICKLE_SUFFIXES):
        raise UserError(f"it has the pickle {name!r}; pickles can run anything and are never read")


def _is_data(entry: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(entry.filename).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return entry.filename.casefold().endswith(".npz") and not hidden


def _check_size(size: int) -> None:
    if size > MAX_UNPACKED_BYTES:
        raise UserError(f"it unpacks to {size:,} bytes, more than {MAX_UNPACKED_BYTES:,}")


def _unpacked_size(member: Member) -> int:
    """Return the bytes of the arrays in an npz file, which is a zip itself."""
    try:
        with zipfile.ZipFile(member.file) as arrays:
            return sum(entry.file_size for entry in arrays.infolist())
    except _DAMAGES:
        # Reading it will say what is wrong with this one file.
        return member.file.stat().st_size
