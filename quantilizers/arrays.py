"""Reading and writing npz files of plain arrays: never with pickle, never half, never endless."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.errors import UserError
from quantilizers.files import atomic_write

#: The most that one file may unpack to, in bytes. A file that says more is taken for a zip bomb.
MAX_UNPACKED_BYTES = 8 * 2**30


def load_arrays(path: Path, required: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Read every array of an npz file.

    Args:
        path: the file.
        required: keys that must be there.

    Raises:
        UserError: the file is missing, truncated, no zip, pickled, too large, or lacks a key.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise UserError(f"{path} unpacks to {unpacked:,} bytes, more than {MAX_UNPACKED_BYTES:,}; split it")
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in required if key not in file.files]
            if missing:
                raise UserError(f"{path} lacks {', '.join(missing)}; it needs the keys {' '.join(required)}")
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{path} claims arrays larger than the memory; it is damaged, fetch it again") from None
    except Exception as error:  # the readers of zip and of array headers raise whatever their parts do
        if "allow_pickle" in str(error):
            raise UserError(f"{path} holds pickled objects, which are never read; save plain arrays") from None
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path} is no readable npz file ({reason}); fetch or record it again") from None


def load_kept(path: Path, required: Sequence[str], identity: str) -> dict[str, npt.NDArray[Any]] | None:
    """Read what was kept of finished work, an npz file with its `identity`, or None where it has to be done.

    Args:
        path: the file.
        required: keys that must be there beside `identity`.
        identity: of the work; what was kept of other work is not wanted.
    """
    if not path.exists():
        return None
    try:
        arrays = load_arrays(path, ["identity", *required])
    except UserError:
        # Whatever is wrong with it, doing the work writes it anew.
        return None
    return arrays if str(arrays["identity"]) == identity else None


def save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays to a compressed npz file, atomically; the same arrays give the same bytes.

    Raises:
        UserError: the file cannot be written.
    """
    with atomic_write(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **dict(arrays))
