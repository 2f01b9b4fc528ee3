from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.gates.hdf5 import open_hdf5
from quantilizers.gates.regular_files import open_regular

h5py = pytest.importorskip("h5py")
Fill = Callable[[Any], object]


def content_of(fill: Fill) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


def read(content: bytes, packed: bool) -> dict[str, np.ndarray]:
    with open_hdf5(content, packed=packed) as arrays:
        arrays.check_all()
        return dict(arrays)


def plain(file: Any) -> None:
    file["data/demo_0/obs"] = np.arange(6, dtype=">f4").reshape(2, 3)
    file["done"] = np.array([True, False])
    file["names"] = np.array([b"anna", b"ben"])
    file["said"] = "wörter"
    file["none"] = np.zeros((0, 3))
    file["data"].attrs.update({"total": 3, "env": '{"a": 1}', "list": np.arange(2.0), "words": ["a", "b"]})


def test_plain_arrays_and_attributes_are_read(tmp_path: Path) -> None:
    (tmp_path / "file.hdf5").write_bytes(content_of(plain))
    with open_regular(tmp_path / "file.hdf5") as file, open_hdf5(file) as arrays:
        assert set(arrays) == {"data/demo_0/obs", "done", "names", "said", "none"}
        assert arrays.groups == ("data", "data/demo_0")
        assert (arrays.shape("data/demo_0/obs"), arrays.dtype("done")) == ((2, 3), np.dtype(bool))
        obs = arrays["data/demo_0/obs"]
        assert obs.dtype.isnative
        assert obs.tolist() == [[0, 1, 2], [3, 4, 5]]
        assert (str(arrays["said"]), arrays["names"].tolist()) == ("wörter", [b"anna", b"ben"])
        # Words of any length in an array are left out.
        about = arrays.attributes("data")
        assert (about.pop("list").tolist(), about) == ([0, 1], {"total": 3, "env": '{"a": 1}'})
        for name in ("x", "../x", "data/demo_0"):
            with pytest.raises(KeyError):
                arrays[name]


@pytest.mark.parametrize(
    "options", [{}, {"compression": "gzip", "shuffle": True, "fletcher32": True}, {"compression": "lzf"}]
)
def test_chunks_are_read_only_where_they_are_expected(options: dict[str, Any]) -> None:
    numbers = np.zeros((5000, 3))
    content = content_of(lambda file: file.create_dataset("x", data=numbers, chunks=True, **options))
    assert read(content, packed=True)["x"].shape == (5000, 3)
    with pytest.raises(ValueError, match="chunked or compressed"):
        read(content, packed=False)


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((2,), np.float32)
    layout[:] = h5py.VirtualSource("other.h5", "x", (2,))
    file.create_virtual_dataset("x", layout)


def circle(file: Any) -> None:
    file.create_group("a")
    file["a/b"] = file["a"]


def twice(file: Any) -> None:
    file["a"] = np.zeros(10_000)
    file["b"] = file["a"]
    file["c"] = file["a"]


REFUSED: dict[str, tuple[Fill, str]] = {
    "soft link": (lambda file: file.update({"x": h5py.SoftLink("/y")}), "is a link"),
    "external link": (lambda file: file.update({"g/x": h5py.ExternalLink("other.h5", "/y")}), "is a link"),
    "external storage": (
        lambda file: file.create_dataset("x", (10,), "f4", external=[("/etc/hostname", 0, 40)]),
        "in another file",
    ),
    "virtual": (virtual, "in another file"),
    "circle": (circle, "more than 16 deep"),
    "the same bytes three times": (twice, "more bytes than the file"),
    "names": (lambda file: file.create_group("a\n\x1b[2J"), "the name"),
    "nothing there": (lambda file: file.create_dataset("x", (10**9,), "f8"), "claims 8,000,000,000 bytes and has 0"),
    "chunks not there": (
        lambda file: file.create_dataset("x", (10**9,), "f8", chunks=True, compression="gzip"),
        "claims 8,000,000,000 bytes and has 0",
    ),
    "large chunk": (
        lambda file: file.create_dataset("x", data=np.zeros(3), chunks=(2**23,), maxshape=(None,), compression=9),
        "a part of its x",
    ),
    "words": (lambda file: file.update({"x": ["a", "b"]}), "neither numbers nor text"),
    "objects": (lambda file: file.create_dataset("x", (3,), h5py.vlen_dtype(np.uint8)), "neither numbers nor text"),
    "fields": (lambda file: file.create_dataset("x", (3,), [("a", "f4")]), "neither numbers nor text"),
    "references": (lambda file: file.create_dataset("x", (3,), h5py.ref_dtype), "neither numbers nor text"),
    "complex": (lambda file: file.update({"x": np.zeros(3, complex)}), "neither numbers nor text"),
    "no space": (lambda file: file.update({"x": h5py.Empty("f4")}), "neither numbers nor text"),
    "other filters": (
        lambda file: file.create_dataset("x", (9,), "i4", chunks=(3,), scaleoffset=2),
        "compressed in a way that is not read",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_everything_else_is_refused(kind: str) -> None:
    fill, problem = REFUSED[kind]
    with pytest.raises(ValueError, match=problem):
        read(content_of(fill), packed=True)


def test_a_filter_twice_is_refused() -> None:
    """Deflated twice, thirty thousand bytes hold a gigabyte."""

    def fill(file: Any) -> None:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((1000,))
        settings.set_deflate(9)
        settings.set_deflate(9)
        h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((1000,)), settings)

    with pytest.raises(ValueError, match="compressed in a way that is not read"):
        read(content_of(fill), packed=True)


def test_words_of_any_length_are_checked_where_they_are_expected() -> None:
    def fill(file: Any) -> None:
        file["words"] = ["a", "wörter"]
        rows = file.create_dataset("rows", (2,), h5py.vlen_dtype(np.uint8))
        rows[0], rows[1] = np.arange(3, dtype=np.uint8), np.arange(5, dtype=np.uint8)

    content = content_of(fill)
    with open_hdf5(content, ragged=True) as arrays:
        arrays.check_all()
        assert arrays.claimed >= 8 + 8
        assert [row.tolist() for row in arrays.rows("rows")] == [[0, 1, 2], [0, 1, 2, 3, 4]]
    with open_hdf5(content) as arrays, pytest.raises(ValueError, match="neither numbers nor text"):
        arrays.check_all()


def test_many_words_that_are_the_same_bytes_are_refused() -> None:
    """A megabyte, referred to by each of a thousand entries, would take a gigabyte."""
    places = []

    def fill(file: Any) -> None:
        words = file.create_dataset("words", (1000,), h5py.string_dtype())
        words[0] = "w" * 2**20
        places.append(words.id.get_offset())

    content = bytearray(content_of(fill))
    entry = bytes(content[places[0] : places[0] + 16])
    content[places[0] : places[0] + 16 * 1000] = entry * 1000
    with open_hdf5(bytes(content), ragged=True) as arrays, pytest.raises(ValueError, match="more bytes than the file"):
        arrays.check_all()
