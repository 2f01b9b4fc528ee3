"""The gate of HDF5 files: weights of policies, and data of other libraries.

Arrays lie in the file itself, contiguous; where the caller expects it, also in chunks, deflated or packed with LZF.
There are no soft or external links, nothing is in other files, and no array holds objects.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from quantilizers.errors import NotInstalledError
from quantilizers.gates.zips import MOST_DEFLATED

#: Most objects in a file, and groups within groups.
_MAX_OBJECTS, _MAX_DEPTH = 2**20, 16
#: Most letters of an array's path.
_MAX_PATH = 1000
#: Largest attribute, and chunk beside the array of which it is a part, in bytes.
_MAX_ATTRIBUTE, _MAX_CHUNK = 2**16, 2**24
#: Filters by their numbers in HDF5: deflate, shuffle, Fletcher's checksum, and h5py's LZF.
_FILTERS = {1, 2, 3, 32000}
#: Bytes of words of any length that are read at once where each may be as long as the file.
_WORDS_AT_ONCE = 2**26
#: What an empty array may claim of its chunks and their index.
_ROOM = 64
#: HDF5 reads bytes in Python's memory: H5LT_FILE_IMAGE_DONT_COPY and H5LT_FILE_IMAGE_DONT_RELEASE. They have to exist
#: until the file is closed. A copy would take twice its size while it is made.
_IN_PLACE = 2 | 4
#: Kinds of NumPy's types: true or false, whole and real numbers, and text.
KINDS = "biufUS"


class HDF5Arrays(Mapping[str, npt.NDArray[Any]]):
    """The arrays of an open HDF5 file by their paths, such as `data/demo_0/obs`; each is read when it is asked for.

    An array is refused by a `ValueError` unless it holds numbers or text and claims no more bytes than its part of the
    file can hold. Text of any length is read where it is a single word, and is an array of no dimensions.
    """

    def __init__(self, file: Any, size: int, packed: bool, ragged: bool = False) -> None:
        self._file = file
        self._size = size
        self._packed = packed
        self._ragged = ragged
        self._checked_names: set[str] = set()
        self._has = 0
        #: Bytes that the arrays checked so far claim.
        self.claimed = 0
        groups, arrays = _walk(file)
        self.groups = tuple(groups)
        self._names = dict.fromkeys(arrays)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Read an array, in the machine's byte order."""
        self._checked(name)
        item = self._file[name]
        if item.dtype.kind == "O":
            return np.array(item.asstr()[()])
        array: npt.NDArray[Any] = np.asarray(item[()])
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array, without reading it."""
        shape: tuple[int, ...] = self._checked(name).shape
        return shape

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the type of an array, without reading it."""
        dtype: np.dtype[Any] = self._checked(name).dtype
        return dtype

    def check_all(self) -> None:
        """Refuse the file by a `ValueError` if an array in it would be refused."""
        for name in self:
            self._checked(name)

    def attributes(self, name: str = "/") -> dict[str, Any]:
        """Return the attributes of a group or array: numbers, text, and short arrays of them; others are left out."""
        import h5py

        if name != "/" and name not in self._names and name not in self.groups:
            raise KeyError(name)
        found: dict[str, Any] = {}
        owner = self._file[name]
        for key in owner.attrs:
            described = h5py.h5a.open(owner.id, key.encode("utf-8", "surrogateescape"))
            kind, shape = described.get_type(), described.shape
            if _is_text_of_any_length(kind):
                is_plain = shape == ()
            else:
                size = math.prod(shape or ()) * described.dtype.itemsize
                is_plain = shape is not None and described.dtype.kind in KINDS and 0 < size <= _MAX_ATTRIBUTE
            if is_plain:
                found[key] = owner.attrs[key]
        return found

    def _checked(self, name: str) -> Any:
        """Return the identifier of an array, whose claims are checked."""
        import h5py

        if name not in self._names:
            raise KeyError(name)
        item = h5py.h5d.open(self._file.id, name.encode())
        if name not in self._checked_names:
            has, claims = _bytes_of(name, item, self._packed, self._ragged)
            self._has += has
            if is_ragged(item):
                claims = self._bytes_of_parts(name)
                self._has += claims
            self.claimed += claims
            if self._has > self._size:
                raise ValueError("its arrays claim more bytes than the file has")
            self._checked_names.add(name)
        return item

    def _bytes_of_parts(self, name: str) -> int:
        """Return the bytes of all words of an array; refuse words that are longer together than the file."""
        total = 0
        for part in self.rows(name):
            total += len(part)
            if total > self._size:
                raise ValueError(f"its {name} claims more bytes than the file has")
        return total

    def rows(self, name: str) -> Iterator[Any]:
        """Yield the words, or rows of bytes, of an array, read a few at a time: all may be the same bytes."""
        item = self._file[name]
        if item.shape == ():
            yield item[()]
            return
        at_once = max(1, _WORDS_AT_ONCE // self._size)
        for first in range(0, len(item), at_once):
            yield from item[first : first + at_once]


@contextmanager
def open_hdf5(file: BinaryIO | bytes, *, packed: bool = False, ragged: bool = False) -> Iterator[HDF5Arrays]:
    """Open an HDF5 file for reading.

    Args:
        file: a regular file that was opened, see `regular_files.open_regular`, or its content.
        packed: whether arrays may lie in chunks, deflated or packed with LZF.
        ragged: whether arrays may hold words, or rows of bytes, of any length. They are checked, and not read here.

    Raises:
        NotInstalledError: h5py is not installed.
        Exception: it is no such file, or has soft or external links; h5py raises many kinds.
    """
    try:
        import h5py
    except ModuleNotFoundError:
        raise NotInstalledError("reading HDF5 needs h5py, which is not installed", "h5py") from None

    if isinstance(file, bytes):
        # Unlike a file of Python's, these call no Python while other threads run.
        size, source = len(file), h5py.h5f.open_file_image(file, _IN_PLACE)
    else:
        size, source = file.seek(0, io.SEEK_END), file
        file.seek(0)
    with h5py.File(source, "r") as found:
        yield HDF5Arrays(found, size, packed, ragged)


def _walk(file: Any) -> tuple[list[str], list[str]]:
    """Return the paths of a file's groups and arrays, after checking that no name stands for something elsewhere."""
    import h5py

    groups, arrays = [], []
    left = [("", file.id, 0)]
    while left:
        path, group, depth = left.pop()
        names: list[tuple[bytes, int]] = []

        def note(name: bytes, link: Any, names: list[tuple[bytes, int]] = names) -> bool | None:
            names.append((name, link.type))
            return True if len(names) > _MAX_OBJECTS else None  # which stops the iteration

        group.links.iterate(note, info=True)
        below = []
        for name, kind in names:
            whole = f"{path}{name.decode()}"
            if kind != h5py.h5l.TYPE_HARD:
                raise ValueError(f"its {whole[:60]!r} is a link, which is never followed")
            if not whole.isprintable() or len(whole) > _MAX_PATH:
                raise ValueError(f"it has the name {whole[:60]!r}")
            what = h5py.h5o.get_info(group, name).type
            if what == h5py.h5o.TYPE_DATASET:
                arrays.append(whole)
            elif what == h5py.h5o.TYPE_GROUP:
                groups.append(whole)
                below.append((f"{whole}/", h5py.h5g.open(group, name), depth + 1))
        if depth >= _MAX_DEPTH and below:
            raise ValueError(f"it has groups within groups, more than {_MAX_DEPTH} deep")
        if len(groups) + len(arrays) > _MAX_OBJECTS:
            raise ValueError(f"it has more than {_MAX_OBJECTS:,} groups and arrays")
        left += below[::-1]
    return groups, arrays


def _bytes_of(name: str, item: Any, packed: bool, ragged: bool) -> tuple[int, int]:
    """Return the bytes that an array has and claims; refuse it if it is of another kind, elsewhere or too large."""
    import h5py

    settings = item.get_create_plist()
    layout = settings.get_layout()
    if settings.get_external_count() or layout not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED):
        raise ValueError(f"its {name} lies in another file")
    has: int = item.get_storage_size()
    if _is_text_of_any_length(item.get_type()) and item.shape == ():
        return has, 0
    dtype = item.dtype
    is_allowed = dtype.kind in KINDS or (ragged and is_ragged(item) and len(item.shape) == 1)
    if not is_allowed or dtype.itemsize == 0 or item.shape is None:
        raise ValueError(f"its {name} holds {str(dtype)[:60]}, which is neither numbers nor text")
    claims = math.prod(item.shape) * dtype.itemsize
    filters = [settings.get_filter(place)[0] for place in range(settings.get_nfilters())]
    if layout != h5py.h5d.CHUNKED and not filters:
        if claims > has:
            raise ValueError(f"its {name} claims {claims:,} bytes and has {has:,}")
        return has, claims
    if not packed:
        raise ValueError(f"its {name} is chunked or compressed")
    if not set(filters) <= _FILTERS or len(set(filters)) < len(filters):
        raise ValueError(f"its {name} is compressed in a way that is not read")
    if claims > MOST_DEFLATED * (has + _ROOM):
        raise ValueError(f"its {name} claims {claims:,} bytes and has {has:,}")
    chunk = math.prod(settings.get_chunk()) * dtype.itemsize
    if chunk > max(claims, _MAX_CHUNK):
        raise ValueError(f"a part of its {name} claims {chunk:,} bytes")
    return has, claims


def is_ragged(item: Any) -> bool:
    """Whether an array's identifier is that of words, or rows of bytes, of any length."""
    import h5py

    kind = item.get_type()
    return _is_text_of_any_length(kind) or bool(
        kind.get_class() == h5py.h5t.VLEN and kind.get_super().dtype == np.dtype(np.uint8)
    )


def _is_text_of_any_length(kind: Any) -> bool:
    import h5py

    return bool(kind.get_class() == h5py.h5t.STRING and kind.is_variable_str())
