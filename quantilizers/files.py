"""Writing files so that a reader never sees half of one, and knowing them again."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from quantilizers.errors import UserError
from quantilizers.interruptions import clearing_away


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; rename it to `path` when the block ends well.

    A reader sees the old file or the new one, never half of one. The temporary file keeps the suffix, because
    many writers choose their format by it.

    Args:
        path: the file to write; its folder is made where it is missing.

    Raises:
        UserError: the folder or the file cannot be written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        with clearing_away(partial(temporary.unlink, missing_ok=True)):
            yield temporary
        # mkstemp makes private files; results are meant to be as readable as any other file of the user's.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; check its folder and free space") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def data_files(folder: Path) -> list[Path]:
    """Return the npz files of a folder that are not hidden, in the order of their names."""
    return sorted(path for path in folder.glob("*.npz") if not path.name.startswith("."))
