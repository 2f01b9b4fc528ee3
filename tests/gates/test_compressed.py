from __future__ import annotations

import bz2
import gzip
import lzma
import tracemalloc

import pytest

from quantilizers.gates.compressed import is_compressed, unpack
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
