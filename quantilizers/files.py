"""Files that are whole or absent, and locks that let one process at a time write them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from quantilizers.errors import UnreadableError, UserError
from quantilizers.gates.json_files import read_json
from quantilizers.process import on_interruption

#: Read once: reading sets it, and other threads may create files meanwhile.
_UMASK = os.umask(0)
os.umask(_UMASK)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; rename it to `path` if the block succeeds.

    A reader sees the old file or the new one, never half of one, and after a power cut the new one. The temporary file
    has the same suffix, because many writers choose their format by it. A missing folder is made.

    Raises:
        UnreadableError: the file is there, and this user may not read what would be replaced.
        UserError: the folder or the file cannot be written.
    """
    if path.exists() and not os.access(path, os.R_OK):
        raise UnreadableError(path)
    temporary: Path | None = None
    try:
        new_folders = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        with on_interruption(partial(temporary.unlink, missing_ok=True)):
            yield temporary
        # mkstemp makes private files; results have the same permissions as the user's other files.
        temporary.chmod(0o666 & ~_UMASK)
        _sync(temporary)
        temporary.replace(path)
        for folder in (path.parent, *(folder.parent for folder in new_folders)):
            _sync(folder)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file or the names in a folder are on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems cannot sync folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot write {path}: {error.strerror or error}; check its folder and free space")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_folder(folder: Path) -> str:
    """Return the SHA-256 of the names and the contents of a folder's files, in hexadecimal."""
    digest = hashlib.sha256()
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def data_files(folder: Path) -> list[Path]:
    """Return the npz files of a folder that are not hidden, sorted by name."""
    return sorted(path for path in folder.glob("*.npz") if not path.name.startswith("."))


@contextmanager
def holding(locks: Sequence[Path], on_wait: Callable[[str], object]) -> Iterator[bool]:
    """Hold locks while the block runs, after waiting for the processes that hold them.

    The system releases the locks of a process that ends, however it ends.

    Args:
        locks: their files, which are created and stay. While a lock is held, a JSON file beside it names the holder.
        on_wait: called with a description of the process that is waited for.

    Yields:
        Whether another process was waited for.
    """
    import filelock  # only programs that write need it

    waited = False
    with ExitStack() as held:
        # All processes acquire them in the same order, which avoids a deadlock.
        for path in sorted(locks):
            lock = filelock.FileLock(path)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    lock.acquire(timeout=0)
                except filelock.Timeout:
                    waited = True
                    on_wait(_holder(path))
                    lock.acquire(poll_interval=0.2)
            except OSError as error:
                raise _unwritable(path, error) from error
            held.callback(lock.release)
            note = path.with_suffix(".json")
            remove_note = partial(note.unlink, missing_ok=True)
            held.callback(remove_note)
            held.enter_context(on_interruption(remove_note))
            since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
            with atomic_write(note) as temporary:
                temporary.write_text(json.dumps({"pid": os.getpid(), "since": since}) + "\n", encoding="utf-8")
        yield waited


def _holder(lock: Path) -> str:
    """Describe the process that holds a lock."""
    try:
        note = read_json(lock.with_suffix(".json"))
        return f"process {int(note['pid'])}, since {datetime.fromisoformat(note['since']):%Y-%m-%d %H:%M:%S} UTC"
    except (UserError, ValueError, TypeError, LookupError):  # it is not written yet
        return "another process"
