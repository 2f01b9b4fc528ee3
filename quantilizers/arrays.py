"""Files of plain arrays, npz and npy, which may come from anybody: arrays of numbers and text, and nothing else.

The sizes in a file are checked before memory is allocated for it, and no pickle is read.
"""

from __future__ import annotations

import hashlib
import math
import os
import warnings
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from quantilizers.errors import UserError, reason_of
from quantilizers.files import atomic_write
from quantilizers.gates.hdf5 import KINDS
from quantilizers.gates.regular_files import open_regular, size_of
from quantilizers.gates.zips import is_plain_name, open_zip
from quantilizers.recipe import Recipe

#: The most that one file may unpack to, in bytes, and as a share of the machine's memory.
MAX_UNPACKED_BYTES = 8 * 2**30
MAX_PART_OF_MEMORY = 0.5
_SUFFIX = ".npy"
#: Unicode ends here; a surrogate is half a letter.
_LAST_LETTER = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def load_arrays(
    path: Path, required: Sequence[str], only: Collection[str] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of an npz file, in the machine's byte order.

    Args:
        path: the file.
        required: keys that must be there.
        only: keys to read, where they exist; None is all.

    Raises:
        MissingError: there is no such file.
        UnreadableError: this user may not read the file.
        UserError: the file is no regular one, damaged, pickled or too large, or lacks a key.
    """
    with _opened(path) as (archive, members):
        missing = [key for key in required if key not in members]
        if missing:
            raise UserError(f"{path} lacks {', '.join(missing)}; it needs the keys {' '.join(required)}")
        wanted = members if only is None else [key for key in members if key in only]
        return {key: _array_in(archive, members[key], path) for key in wanted}


def types_in(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return the shape and type of each array of an npz file, which are read from its headers.

    Raises:
        MissingError: there is no such file.
        UnreadableError: this user may not read the file.
        UserError: the file is no regular one, damaged or too large.
    """
    types = {}
    with _opened(path) as (archive, members):
        for name, member in members.items():
            with archive.open(member) as file:
                shape, _, dtype = read_header(file)
            types[name] = shape, dtype
    return types


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """Open an npz file, and yield it with its members by the names of their arrays, checked."""
    try:
        with open_regular(path) as file, open_zip(file) as archive:
            yield archive, _checked_members(archive, path)
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{path} claims arrays larger than the memory; it is damaged, fetch it again") from None
    except Exception as error:  # the readers of zip and of array headers raise many kinds
        raise UserError(f"{path} is no readable npz file ({reason_of(error)}); fetch or record it again") from None


def load_array(path: Path) -> npt.NDArray[Any]:
    """Read the array of an npy file, in the machine's byte order.

    Raises:
        MissingError: there is no such file.
        UserError: the file is no regular one, damaged or pickled.
    """
    try:
        with open_regular(path) as file:
            _check_header(file, size_of(file), path)
            file.seek(0)
            return _native(file)
    except UserError:
        raise
    except Exception as error:  # the readers of array headers raise many kinds
        raise UserError(f"{path} is no readable npy file ({reason_of(error)})") from None


def save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays to a compressed npz file, atomically; the same arrays give the same bytes.

    Raises:
        UserError: an array or its name is one that `load_arrays` refuses, or the file cannot be written.
    """
    for name, array in arrays.items():
        try:
            _check_name(name)
            _check_type(array.dtype)
            _check_text(array)
        except ValueError as error:
            raise UserError(f"{path} cannot be written ({name[:60]}: {reason_of(error)})") from None
    # As np.savez_compressed does, which has no room for arrays that are called as its parameters.
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}{_SUFFIX}", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def save_cached(path: Path, arrays: Mapping[str, npt.NDArray[Any]], recipe: Recipe) -> None:
    """Write the arrays of finished work with its recipe, which `load_cached` recognises."""
    save_arrays(path, {**arrays, "identity": np.array(recipe.identity), "recipe": np.array(recipe.text)})


def load_cached(path: Path, required: Sequence[str], recipe: Recipe) -> dict[str, npt.NDArray[Any]] | None:
    """Read an npz file of finished work; return None if it is missing, damaged or of another recipe."""
    if not path.exists():
        return None
    try:
        arrays = load_arrays(path, ["identity", *required])
        return None if noted_difference(arrays, recipe) else arrays
    except (UserError, ValueError):
        return None


def cached_difference(path: Path, recipe: Recipe) -> str:
    """Describe how the recipe of a file of finished work differs from the requested one; empty if it is damaged."""
    try:
        return noted_difference(load_arrays(path, ["identity"], only=("identity", "recipe")), recipe)
    except (UserError, ValueError):
        return ""


def noted_difference(arrays: Mapping[str, npt.NDArray[Any]], recipe: Recipe) -> str:
    """Describe how the recipe that a file's arrays note differs from the requested one; empty if it does not.

    Files of earlier versions may note only the identity, or not even that.

    Raises:
        ValueError: the recipe is damaged.
    """
    if "recipe" in arrays:
        return Recipe.parse(str(arrays["recipe"])).difference(recipe)
    known = "identity" in arrays and str(arrays["identity"]) == recipe.identity
    return "" if known else "with other settings or of other data"


def digest_of(arrays: Iterable[tuple[str, npt.NDArray[Any]]], start: bytes = b"") -> str:
    """Return the SHA-256 of some bytes, and of the names, types, shapes and elements of arrays, in hexadecimal.

    Args:
        arrays: names and arrays; an array whose name is empty goes without it.
        start: the bytes.
    """
    digest = hashlib.sha256(start)
    for name, array in arrays:
        digest.update(repr((*([name] if name else []), array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def most_bytes() -> float:
    """Return the most that one file may unpack to, in bytes."""
    return min(MAX_UNPACKED_BYTES, _bytes_of_memory() * MAX_PART_OF_MEMORY)


def check_memory(size: int) -> None:
    """Refuse arrays that are larger than the limits of a file, before memory is allocated for them.

    Raises:
        UserError: they are larger than `most_bytes`.
    """
    if size > most_bytes():
        raise UserError(f"its arrays would take {size:,} bytes, more than {most_bytes():,.0f}; split it")


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return the shape, whether in Fortran's order, and the type in an array's header; the reader raises anything."""
    version = np.lib.format.read_magic(file)
    # Later versions are for headers that plain arrays do not have, which may be longer than the memory.
    if version != (1, 0):
        raise ValueError(f"it is of version {version}, not 1.0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the header was written by Python 2
        shape, in_fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, in_fortran_order, dtype


def _checked_members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the members by the names of their arrays, after checking their names and sizes."""
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    most = most_bytes()
    if unpacked > most:
        raise UserError(f"{path} unpacks to {unpacked:,} bytes, more than {most:,.0f}; split it")
    by_name = {}
    for member in members:
        name = member.filename.removesuffix(_SUFFIX)
        _check_name(name)
        if name in by_name:
            raise ValueError(f"it has {name[:60]!r} twice")
        by_name[name] = member
    return by_name


def _check_name(name: str) -> None:
    if not is_plain_name(name):
        raise ValueError(f"{name[:60]!r} is no name of an array")


def _check_type(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in KINDS or dtype.itemsize == 0:
        raise ValueError(f"it holds {dtype.str[:60]}, which is neither numbers nor text")


def _check_text(array: npt.NDArray[Any]) -> None:
    """Refuse text with numbers that are no letters: Python fails when it is used."""
    if array.dtype.kind != "U" or array.size == 0:
        return
    codes = np.ascontiguousarray(array).reshape(-1).view(np.uint32)
    if not array.dtype.isnative:
        codes = codes.byteswap()
    # One comparison suffices for plain text.
    if (
        codes.max() >= _SURROGATES.start
        and ((codes > _LAST_LETTER) | ((codes >= _SURROGATES.start) & (codes < _SURROGATES.stop))).any()
    ):
        raise ValueError("it holds numbers that are no letters where text should be")


def _array_in(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> npt.NDArray[Any]:
    try:
        with archive.open(member) as file:
            _check_header(file, member.file_size, path)
        with archive.open(member) as file:
            return _native(file)
    except ValueError as error:
        raise ValueError(f"{member.filename.removesuffix(_SUFFIX)[:60]}: {error}") from None


def _check_header(file: IO[bytes], size: int, path: Path) -> None:
    """Refuse an array that is pickled or whose size differs from its header, before memory is allocated for it."""
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise UserError(f"{path} holds pickled objects, which are never read; save plain arrays")
    _check_type(dtype)
    if file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError("an array has other bytes than its header says")


def _native(file: IO[bytes]) -> npt.NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    _check_text(array)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _bytes_of_memory() -> float:
    """Return the machine's memory; infinity where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return math.inf
