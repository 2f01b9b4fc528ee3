from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from quantilizers.gates.compressed import files_in_tar, is_compressed, unpack
from watching import bounded_memory

PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("kind", PACKERS)
def test_what_was_packed_is_unpacked_also_in_several_parts(kind: str) -> None:
    pack = PACKERS[kind]
    content = pack(b"a,b\n1,2\n") + pack(b"3,4\n")
    assert is_compressed(content[:64])
    assert unpack(content) == b"a,b\n1,2\n3,4\n"
    assert not is_compressed(b"a,b\n")


@pytest.mark.parametrize("kind", PACKERS)
def test_damage_is_refused(kind: str) -> None:
    whole = bytes(range(256)) * 40
    content = PACKERS[kind](whole)
    middle = len(content) // 2
    for damaged in (content[:-9], content[:40], content[:middle] + b"\xff\0" * 9 + content[middle + 18 :]):
        with pytest.raises(ValueError, match=r"\w"):
            unpack(damaged)


@pytest.mark.parametrize("kind", PACKERS)
def test_little_memory_is_asked_for_what_is_small(kind: str) -> None:
    """Python allocates what a read asks for, which a limit on memory, or a machine with less, refuses."""
    content = PACKERS[kind](b"a,b\n1,2\n" * 1000)
    tracemalloc.start()
    try:
        unpack(content)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 30 * 2**20


def test_a_bomb_is_refused_within_limits() -> None:
    content = bz2.compress(bytes(2**28))
    assert len(content) < 1000
    with bounded_memory(300 * 2**20), pytest.raises(ValueError, match="unpacks to more than"):
        unpack(content)


def tar(folder: Path, *files: tuple[str, bytes]) -> Path:
    with tarfile.open(folder / "frames.tar.bz2", "w:bz2") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return folder / "frames.tar.bz2"


def test_files_of_an_archive_are_read_in_order_and_links_are_not(tmp_path: Path) -> None:
    path = tar(tmp_path, ("a/1.png", b"one"), ("../2.png", b"two"))
    assert list(files_in_tar(path)) == [("a/1.png", b"one"), ("../2.png", b"two")]
    whole = path.read_bytes()
    for damaged in (whole[:-30], whole[:60], b"BZh", b"no archive"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"\w"):
            list(files_in_tar(path))


def test_bombs_in_archives_are_refused_within_limits(tmp_path: Path) -> None:
    large = tar(tmp_path, ("1.png", bytes(2**24 + 1)))
    with pytest.raises(ValueError, match=r"its file '1\.png' has 16,777,217 bytes"):
        list(files_in_tar(large))
    many = tar(tmp_path, *[(f"{number}.png", bytes(2**23)) for number in range(9)])
    with bounded_memory(200 * 2**20), pytest.raises(ValueError, match="unpacks to more than"):
        for _ in files_in_tar(many):
            pass
