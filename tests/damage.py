"""Damage to files, as Hypothesis draws it: what disks, networks and people with bad intentions do to them."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]
Arrays = Mapping[str, npt.NDArray[Any]]

#: Numbers that readers stumble over when they stand where a size, a count or a place should.
ABSURD = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)
#: Signatures of the structures of a zip, and the offsets of sizes, places, methods, flags and counts in them.
_ZIP_FIELDS = {
    b"PK\x03\x04": ((6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    b"PK\x01\x02": ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (38, 4), (42, 4)),
    b"PK\x05\x06": ((4, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
}
#: Names of members that no honest file has.
HOSTILE_NAMES = (
    "../../escaped.npy", "/tmp/absolute.npy", "C:\\windows.npy", "", ".", "a" * 5000, "name\nof two lines.npy",
    "\x1b[2Jscreen.npy", "ünïcödé.npy", "obs", "obs.npy.npy", "folder/", "__MACOSX/obs.npy", "x.pkl",
)  # fmt: skip


class Explosive:
    """Ends the tests if anybody unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (SystemExit, ("a pickle was run",))


# Bytes -------------------------------------------------------------------------------------------------------------


@st.composite
def damaged_bytes(draw: Draw, data: bytes) -> bytes:
    """Draw bytes that are damaged in one to three ways without regard to what they mean."""
    for _ in range(draw(st.integers(1, 3))):
        data = draw(st.sampled_from(_DAMAGES))(draw, data)
    return data


def _place(draw: Draw, data: bytes) -> int:
    """Draw a place, more often where headers and directories stand."""
    last = max(0, len(data) - 1)
    return draw(st.one_of(st.integers(0, last), st.integers(0, min(300, last)), st.integers(max(0, last - 600), last)))


def _flip(draw: Draw, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 8)) if data else 0):
        changed[_place(draw, data)] ^= 1 << draw(st.integers(0, 7))
    return bytes(changed)


def _cut(draw: Draw, data: bytes) -> bytes:
    return data[: _place(draw, data)]


def _behead(draw: Draw, data: bytes) -> bytes:
    return data[_place(draw, data) :]


def _hole(draw: Draw, data: bytes) -> bytes:
    start, length = _place(draw, data), draw(st.integers(1, 4096))
    return data[:start] + data[start + length :]


def _overwrite(draw: Draw, data: bytes) -> bytes:
    start, length = _place(draw, data), draw(st.integers(1, 512))
    filling = draw(st.sampled_from((b"\0", b"\xff", b"A", None)))
    length = min(length, len(data) - start)
    written = draw(st.binary(min_size=length, max_size=length)) if filling is None else filling * length
    return data[:start] + written + data[start + length :]


def _insert(draw: Draw, data: bytes) -> bytes:
    start = _place(draw, data)
    return data[:start] + draw(st.binary(min_size=1, max_size=64)) + data[start:]


def _repeat(draw: Draw, data: bytes) -> bytes:
    start, length = _place(draw, data), draw(st.integers(1, 2048))
    return data[: start + length] + data[start:]


def _wrap(draw: Draw, data: bytes) -> bytes:
    garbage = draw(st.binary(min_size=1, max_size=256))
    return draw(st.sampled_from((garbage + data, data + garbage, garbage, b"", data + data)))


def _absurd_number(draw: Draw, data: bytes) -> bytes:
    start, size = _place(draw, data), draw(st.sampled_from((1, 2, 4, 8)))
    return _put(data, start, draw(st.sampled_from(ABSURD)), size)


def _zip_field(draw: Draw, data: bytes) -> bytes:
    """Change a size, place, method, flag, checksum or count of a zip's structures."""
    begin = draw(st.sampled_from(tuple(_ZIP_FIELDS)))
    places = [place for place in range(len(data)) if data.startswith(begin, place)] if len(data) < 1 << 16 else []
    place = data.find(begin)
    while len(data) >= 1 << 16 and place >= 0:
        places.append(place)
        place = data.find(begin, place + 1)
    if not places:
        return data
    offset, size = draw(st.sampled_from(_ZIP_FIELDS[begin]))
    value = draw(st.one_of(st.sampled_from(ABSURD), st.integers(0, 64), st.integers(0, 2**32 - 1)))
    return _put(data, draw(st.sampled_from(places)) + offset, value, size)


def _put(data: bytes, start: int, value: int, size: int) -> bytes:
    written = (value & (256**size - 1)).to_bytes(size, "little")
    return data[:start] + written[: max(0, len(data) - start)] + data[start + size :]


_DAMAGES = (_flip, _flip, _cut, _behead, _hole, _overwrite, _insert, _repeat, _wrap, _absurd_number, _zip_field)

# Arrays ------------------------------------------------------------------------------------------------------------

#: Headers that lie, or are none.
_HEADERS = (
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-2, -8), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 1000000000000000000000000), }",
    "{'descr': '<U0', 'fortran_order': False, 'shape': (100000000000,), }",
    "{'descr': '|V0', 'fortran_order': False, 'shape': (100000000000,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1, " * 100 + "), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (True,), }",
    "{'descr': '<f8', 'fortran_order': 3, 'shape': (2L, 1L), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': [('a', '<f8'), ('b', '|O')], 'fortran_order': False, 'shape': (1,), }",
    "{'descr': [('a', '<f8', (1000, 1000, 1000))], 'fortran_order': False, 'shape': (1000,), }",
    "{'descr': '<f8', 'shape': (2,), }",
    "{'descr': 3, 'fortran_order': False, 'shape': 4}",
    "{'descr': '<f8', 'fortran_order': False, 'shape': __import__('os').system('true')}",
    "(" * 9000,
    "{" * 3000 + "}" * 3000,
    "[" * 200 + "]" * 200,
    "\0" * 64,
    "1" * 9000,
)


def header_of(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    """Return the beginning of an npy file with any text for a header."""
    encoded = text.encode() + b" " * (-(len(text) + 11) % 64) + b"\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(encoded))
    return b"\x93NUMPY" + bytes(version) + length + encoded


def npy_bytes(array: npt.NDArray[Any]) -> bytes:
    """Return an array as an npy file; objects are pickled, as nobody should."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


@st.composite
def damaged_array(draw: Draw, array: npt.NDArray[Any]) -> bytes:
    """Draw an npy file of an array that has another type, shape or values, or a header that lies."""
    return draw(st.sampled_from((_retype, _reshape, _revalue, _reheader, _resize)))(draw, array)


def _retype(draw: Draw, array: npt.NDArray[Any]) -> bytes:
    kind = draw(st.sampled_from(("O", "U9", "S9", "c16", "?", "i1", "u8", "f2", ">f4", ">f8", ">i8", "M8[s]", "V8")))
    if kind == "O":
        return npy_bytes(np.array([Explosive()], dtype=object))
    with np.errstate(all="ignore"):
        try:
            return npy_bytes(array.astype(kind))
        except (TypeError, ValueError):
            return npy_bytes(np.zeros(array.shape, dtype=kind))


def _reshape(draw: Draw, array: npt.NDArray[Any]) -> bytes:
    ways: Sequence[Callable[[], npt.NDArray[Any]]] = (
        array.ravel,
        lambda: array[None],
        lambda: array[..., None],
        lambda: array.T,
        lambda: np.asfortranarray(array),
        lambda: array[:0] if array.ndim else array,
        lambda: array[..., :0] if array.ndim else array,
        lambda: array[:1] if array.ndim else array,
        lambda: array[:-1] if array.ndim else array,
        lambda: array.ravel()[0] if array.size else array,
        lambda: np.concatenate([array, array]) if array.ndim else array,
        lambda: np.concatenate([array, array], axis=-1) if array.ndim else array,
    )
    return npy_bytes(np.asarray(draw(st.sampled_from(ways))()))


def _revalue(draw: Draw, array: npt.NDArray[Any]) -> bytes:
    if not array.size:
        return npy_bytes(array)
    changed = array.copy()
    kind = changed.dtype.kind
    values: tuple[Any, ...]
    if kind == "f":
        values = (np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 0.5, -1.0)
    elif kind in "iu":
        values = (0, 1, 3, np.iinfo(changed.dtype).max, np.iinfo(changed.dtype).min)
    elif kind == "b":
        values = (True, False)
    elif kind == "U":
        length = changed.dtype.itemsize // 4
        values = (
            "",
            "\n\x1b[2J"[:length],
            "[" * length,
            "{}"[:length],
            "1e400"[:length],
            "null"[:length],
            "NaN"[:length],
        )
    else:
        return npy_bytes(changed)
    value = draw(st.sampled_from(values))
    place = draw(st.integers(0, changed.size - 1))
    length = draw(st.sampled_from((1, 7, changed.size)))
    with np.errstate(all="ignore"):
        changed.reshape(-1)[place : place + length] = value
    return npy_bytes(changed)


def _reheader(draw: Draw, array: npt.NDArray[Any]) -> bytes:
    version = draw(st.sampled_from(((1, 0), (1, 0), (2, 0), (3, 0), (9, 9))))
    return header_of(draw(st.sampled_from(_HEADERS)), version) + array.tobytes()[:4096]


def _resize(draw: Draw, array: npt.NDArray[Any]) -> bytes:
    whole = npy_bytes(array)
    return (
        whole[: -draw(st.integers(1, 64))] if draw(st.booleans()) else whole + draw(st.binary(min_size=1, max_size=64))
    )


# Zips --------------------------------------------------------------------------------------------------------------


def zip_bytes(members: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of members, which may have the same name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            # Not `writestr`, which warns of names that are there twice.
            with archive.open(_info(name, method), "w") as member:
                member.write(content)
            archive.NameToInfo.pop(name, None)
    return file.getvalue()


def _info(name: str, method: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.compress_type = method
    return info


@st.composite
def damaged_members(draw: Draw, members: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Draw members of which some are left out, there twice, renamed, swapped, empty, or too many."""
    changed = list(members)
    place = draw(st.integers(0, len(changed) - 1))
    other = draw(st.integers(0, len(changed) - 1))
    name, content = changed[place]
    way = draw(st.integers(0, 7))
    if way == 0:
        del changed[place]
    elif way == 1:
        changed.append((name, draw(st.sampled_from((content, changed[other][1], b"")))))
    elif way == 2:
        changed[place] = draw(st.sampled_from(HOSTILE_NAMES)), content
    elif way == 3:
        changed[place] = name, changed[other][1]
    elif way == 4:
        changed[place] = name, draw(st.sampled_from((b"", b"\0" * 10_000, pickle.dumps(Explosive()), b"PK\x05\x06")))
    elif way == 5:
        changed.append((draw(st.sampled_from(HOSTILE_NAMES)), draw(st.sampled_from((b"", content)))))
    elif way == 6:
        changed += [(f"member_{number}.npy", content[:200]) for number in range(draw(st.integers(1, 300)))]
    else:
        changed[place] = name, zip_bytes([(name, content)])
    return changed


@st.composite
def damaged_npz(draw: Draw, data: bytes, arrays: Arrays) -> tuple[bytes, bool]:
    """Draw a damaged npz file, and whether checksums guard what was damaged.

    Args:
        draw: of Hypothesis.
        data: the whole file.
        arrays: what is in it.
    """
    way = draw(st.integers(0, 9))
    if way < 5:
        return draw(damaged_bytes(data)), True
    keys = list(arrays)
    members = {f"{key}.npy": npy_bytes(array) for key, array in arrays.items()}
    if way < 8:
        for _ in range(draw(st.integers(1, 2))):
            key = draw(st.sampled_from(keys))
            members[f"{key}.npy"] = draw(damaged_array(arrays[key]))
        return zip_bytes(list(members.items())), False
    methods = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    changed = draw(damaged_members(list(members.items())))
    whole = zip_bytes(changed, draw(st.sampled_from(methods)))
    return whole if draw(st.booleans()) else draw(damaged_bytes(whole)), False


# JSON --------------------------------------------------------------------------------------------------------------

_NAMES = st.sampled_from(("environment", "quantile", "seed", "family", "training", "data", "acting", "x", ""))
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.just("multilayer_perceptron")
)
JSON_VALUES = st.recursive(
    _SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_NAMES, inner, max_size=3))
)
_BROKEN_JSON = (
    "", "{", "[]", "null", "[" * 100_000, '{"a":' * 50_000, "1" * 10_000, "NaN", '{"seed": 1e999}', "\ud800", "\0",
    '{"seed": 0, "seed": 1}', '"' + "x" * 100_000 + '"', "-" * 5000,
)  # fmt: skip


@st.composite
def damaged_json(draw: Draw, note: Mapping[str, Any]) -> bytes:
    """Draw a JSON object of which an entry is another one, missing or new, or what is none."""
    way = draw(st.integers(0, 3))
    if way == 0:
        return draw(st.sampled_from(_BROKEN_JSON)).encode("utf-8", "surrogatepass")
    if way == 1:
        return draw(damaged_bytes(json.dumps(note).encode()))
    changed = dict(note)
    key = draw(st.one_of(st.sampled_from(list(note)), _NAMES))
    if way == 2:
        changed.pop(key, None)
    value = changed.get(key)
    if isinstance(value, dict) and value and draw(st.booleans()):
        inner = draw(st.sampled_from(list(value)))
        changed[key] = {**value, inner: draw(JSON_VALUES)}
    elif way == 3:
        changed[key] = draw(JSON_VALUES)
    return json.dumps(changed).encode("utf-8", "surrogatepass")


@st.composite
def damaged_inside(draw: Draw, note: Mapping[str, Any]) -> bytes:
    """Draw a JSON object of which something at any depth is another value, missing, or there twice."""
    changed = json.loads(json.dumps(note))
    holder, key = changed, draw(st.sampled_from(list(changed)))
    while isinstance(holder[key], (dict, list)) and holder[key] and draw(st.integers(0, 4)):
        holder = holder[key]
        key = draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
    way = draw(st.integers(0, 5))
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif way == 2:
        holder[key] = draw(
            st.sampled_from((float("nan"), float("inf"), 1e308, 10**400, -1, "\x1b[2J\n", "x" * 5000, None))
        )
    else:
        holder[key] = draw(JSON_VALUES)
    return json.dumps(changed).encode("utf-8", "surrogatepass")
