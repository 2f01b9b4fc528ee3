from __future__ import annotations

import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from quantilizers.errors import MissingError, UnreadableError, UserError
from quantilizers.gates.regular_files import open_regular, read_whole, size_of


def test_a_regular_file_is_opened_also_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with open_regular(tmp_path / name) as file:
            assert (size_of(file), file.read()) == (7, b"content")
    assert read_whole(tmp_path / "file", 7) == b"content"
    with pytest.raises(UserError, match="has more than 6 bytes"):
        read_whole(tmp_path / "file", 6)


def test_anything_else_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "pipe", tmp_path / "socket", tmp_path, Path("/dev/zero"), Path("/dev/null")):
            with pytest.raises(UserError, match="not a regular file"):
                open_regular(path)
    with pytest.raises(MissingError, match="does not exist"):
        open_regular(tmp_path / "none")
    for name in ("a\0b", "a" * 300):
        with pytest.raises(UserError, match="cannot be opened"):
            open_regular(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_rights_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0)
    with pytest.raises(UnreadableError):
        open_regular(tmp_path / "file")


def test_a_short_file_takes_little_memory(tmp_path: Path) -> None:
    """Python allocates what a read asks for."""
    path = tmp_path / "file"
    path.write_bytes(b"checked")
    tracemalloc.start()
    try:
        assert read_whole(path, 2**28) == b"checked"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**20
    with pytest.raises(UserError, match="more than 6 bytes"):
        read_whole(path, 6)


def test_what_was_opened_is_read_whatever_its_name_stands_for_later(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"checked")
    with open_regular(path) as file:
        path.unlink()
        os.mkfifo(path)
        assert file.read() == b"checked"
