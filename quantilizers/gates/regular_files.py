"""Open regular files only, and each only once: what is read is what was checked."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from quantilizers.errors import MissingError, UnreadableError, UserError, reason_of

#: A pipe opens at once instead of waiting for a writer, and a terminal does not become this process's own.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
#: How systems refuse to open sockets, devices without a driver, and folders.
_NOT_REGULAR = (errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP, errno.EISDIR)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        MissingError: there is no such file.
        UnreadableError: this user may not read it.
        UserError: it is a pipe, a device, a socket or a folder, or the system cannot open it.
    """
    try:
        handle = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise MissingError(f"{path} does not exist") from None
    except PermissionError:
        raise UnreadableError(path) from None
    except OSError as error:
        if error.errno in _NOT_REGULAR:
            raise _not_regular(path) from None
        raise UserError(f"{path} cannot be opened ({error.strerror or reason_of(error)})") from None
    except ValueError as error:  # a name with a NUL
        raise UserError(f"{path} cannot be opened ({reason_of(error)})") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _not_regular(path)
    return os.fdopen(handle, "rb")


def _not_regular(path: Path) -> UserError:
    return UserError(f"{path} is a folder, pipe, device or socket, not a regular file; copy its content into one")


def size_of(file: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def read_whole(path: Path, most: int) -> bytes:
    """Read a regular file of at most `most` bytes.

    Raises:
        UserError: it is longer, or one of `open_regular`'s errors.
    """
    with open_regular(path) as file:
        try:
            # Python allocates what is asked for, also if the file is shorter.
            content = file.read(min(size_of(file), most) + 1)
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror or reason_of(error)})") from None
    if len(content) > most:
        raise UserError(f"{path} has more than {most:,} bytes")
    return content
