from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from damage import header_of, npy_bytes, zip_bytes
from quantilizers import arrays
from quantilizers.arrays import (
    cached_difference,
    digest_of,
    load_array,
    load_arrays,
    load_cached,
    save_arrays,
    save_cached,
)
from quantilizers.errors import UserError
from quantilizers.recipe import Recipe


def test_what_is_saved_is_loaded_and_the_bytes_repeat(tmp_path: Path) -> None:
    content = {"a": np.arange(6.0).reshape(2, 3), "name": np.array("Hopper"), "flags": np.array([True, False])}
    save_arrays(tmp_path / "one.npz", content)
    save_arrays(tmp_path / "two.npz", content)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    loaded = load_arrays(tmp_path / "one.npz", ["a"])
    assert loaded.keys() == content.keys()
    for key in content:
        np.testing.assert_array_equal(loaded[key], content[key])
        assert loaded[key].dtype == content[key].dtype


def test_a_digest_depends_on_names_types_shapes_elements_and_what_comes_first() -> None:
    array = np.arange(6, dtype="<f8").reshape(2, 3)
    # Files note these: they may never change.
    assert digest_of([("", array)]).startswith("e9ea01ee688294b7")
    assert digest_of([("a", array)], b"note").startswith("472a7ab078b38917")
    assert digest_of([("a", array[:, ::2])]) == digest_of([("a", array[:, ::2].copy())])
    others = [[("b", array)], [("a", array.T)], [("a", array.astype("<f4"))], [("a", array + 1)], [("a", array)] * 2]
    digests = {digest_of(other) for other in ([("a", array)], *others)} | {digest_of([("a", array)], b"note")}
    assert len(digests) == 7


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as raised:
        load_arrays(path, ["a"])
    assert "\n" not in str(raised.value)
    assert path.name in str(raised.value)
    return str(raised.value)


def test_unreadable_files_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    assert "does not exist" in refusal(path)
    path.write_bytes(b"<html>not found</html>")
    assert "no readable npz" in refusal(path)
    path.write_bytes(b"")
    assert "no readable npz" in refusal(path)
    save_arrays(path, {"a": np.random.default_rng(0).random(5000)})
    whole = path.read_bytes()
    for length in (len(whole) // 3, len(whole) - 10):
        path.write_bytes(whole[:length])
        assert "no readable npz" in refusal(path)
    broken = bytearray(whole)
    broken[200:240] = bytes(40)
    path.write_bytes(bytes(broken))
    refusal(path)
    np.save(tmp_path / "file.npy", np.ones(3))
    (tmp_path / "file.npy").rename(path)
    assert "no readable npz" in refusal(path)


def test_pickles_are_never_read(tmp_path: Path) -> None:
    class Explosive:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "exploded",))  # type: ignore[return-value]

    np.savez(tmp_path / "file.npz", a=np.array([Explosive()], dtype=object))
    assert "pickled" in refusal(tmp_path / "file.npz")
    assert not (tmp_path / "exploded").exists()


def test_missing_keys_are_named(tmp_path: Path) -> None:
    save_arrays(tmp_path / "file.npz", {"b": np.ones(1)})
    assert "lacks a" in refusal(tmp_path / "file.npz")


def test_zip_bombs_are_refused_before_they_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MAX_UNPACKED_BYTES", 1000)
    save_arrays(tmp_path / "file.npz", {"a": np.zeros(10_000)})
    assert "unpacks to" in refusal(tmp_path / "file.npz")


def test_a_header_that_claims_terabytes_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    with zipfile.ZipFile(tmp_path / "file.npz", "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8))
    refusal(tmp_path / "file.npz")


def test_finished_work_is_recognised_by_its_recipe(tmp_path: Path) -> None:
    path, recipe, other = tmp_path / "kept.npz", Recipe({"seed": 3}), Recipe({"seed": 4})
    assert load_cached(path, ["found"], recipe) is None
    assert cached_difference(path, recipe) == ""
    save_cached(path, {"found": np.arange(3)}, recipe)
    kept = load_cached(path, ["found"], recipe)
    assert kept is not None
    assert kept["found"].tolist() == [0, 1, 2]
    assert load_cached(path, ["found"], other) is None
    assert load_cached(path, ["more"], recipe) is None
    assert (cached_difference(path, recipe), cached_difference(path, other)) == ("", "for seed 3, not 4")
    save_arrays(path, {"identity": np.array(recipe.identity)})
    assert cached_difference(path, recipe) == ""
    assert cached_difference(path, other) == "with other settings or of other data"
    path.write_bytes(path.read_bytes()[:100])
    assert load_cached(path, ["found"], recipe) is None
    assert cached_difference(path, other) == ""


def npz_of(path: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("kind", "array"),
    {
        "complex": np.zeros(3, complex),
        "dates": np.zeros(3, "M8[s]"),
        "spans": np.zeros(3, "m8[s]"),
        "void": np.zeros(3, "V8"),
        "fields": np.zeros(3, [("a", "f4")]),
        "half a letter": np.array(["a\ud800"]),
        "beyond Unicode": np.array([0x11_0000], np.uint32).view("U1"),
        "beyond Unicode, swapped": np.array([0x11_0000], ">u4").view(">U1"),
    }.items(),
)
def test_only_numbers_and_text_are_read_and_written(kind: str, array: np.ndarray, tmp_path: Path) -> None:
    path = npz_of(tmp_path / "file.npz", a=array)
    assert re.search("neither numbers nor text|no letters", refusal(path)), kind
    with pytest.raises(UserError, match=r"other\.npz cannot be written"):
        save_arrays(tmp_path / "other.npz", {"a": array})
    assert not (tmp_path / "other.npz").exists()


@pytest.mark.parametrize("kind", ["<U0", "|S0", "|V0"])
def test_items_of_no_bytes_claim_nothing_and_are_refused(kind: str, tmp_path: Path) -> None:
    header = header_of(f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': (20, 100000000000), }}")
    (tmp_path / "file.npz").write_bytes(zip_bytes([("a.npy", header)]))
    assert "neither numbers nor text" in refusal(tmp_path / "file.npz")


@pytest.mark.parametrize("name", ["", "../a", "/a", "a\x1b[2J", "a\nb", "a" * 201])
def test_names_of_arrays_are_plain(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be written .* is no name of an array"):
        save_arrays(tmp_path / "file.npz", {name: np.ones(1)})
    content = zip_bytes([("a.npy", npy_bytes(np.ones(1))), (f"{name}.npy", npy_bytes(np.ones(1)))])
    (tmp_path / "file.npz").write_bytes(content)
    assert "is no name of an array" in refusal(tmp_path / "file.npz")


def test_arrays_may_be_called_as_numpy_s_parameters(tmp_path: Path) -> None:
    for name in ("file", "allow_pickle", "arr_0"):
        save_arrays(tmp_path / "file.npz", {name: np.arange(3)})
        assert load_arrays(tmp_path / "file.npz", [name])[name].tolist() == [0, 1, 2]


def test_the_bytes_are_those_of_numpy(tmp_path: Path) -> None:
    content = {"a": np.arange(6.0), "b/c": np.array("word")}
    np.savez_compressed(tmp_path / "numpy.npz", **content)
    save_arrays(tmp_path / "ours.npz", content)
    assert (tmp_path / "ours.npz").read_bytes() == (tmp_path / "numpy.npz").read_bytes()


def test_a_header_longer_than_any_of_a_plain_array_is_not_read(tmp_path: Path) -> None:
    content = header_of("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", (2, 0)) + bytes(8)
    (tmp_path / "file.npz").write_bytes(zip_bytes([("a.npy", content)]))
    assert "version (2, 0), not 1.0" in refusal(tmp_path / "file.npz")


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file.npz")
    assert "not a regular file" in refusal(tmp_path / "file.npz")
    with pytest.raises(UserError, match="not a regular file"):
        load_array(tmp_path / "file.npz")
