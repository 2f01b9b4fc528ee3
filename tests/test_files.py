from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from quantilizers.errors import UserError
from quantilizers.files import atomic_write, sha256_of


def test_atomic_write_replaces_the_file_only_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [one.name for one in path.parent.iterdir()] == ["file.txt"]


def test_atomic_write_says_in_one_line_why_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="cannot write") as raised, atomic_write(tmp_path / "file" / "below"):
        pass
    assert "\n" not in str(raised.value)


def test_sha256_of_is_that_of_the_bytes(tmp_path: Path) -> None:
    data = b"abc" * 1_000_000
    (tmp_path / "file").write_bytes(data)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(data).hexdigest()
