from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from damage import zip_bytes
from quantilizers.gates.zips import is_plain_name, open_zip, read_member
from support import ROOT


def names_in(content: bytes) -> list[str]:
    with open_zip(io.BytesIO(content)) as archive:
        return archive.namelist()


def put(content: bytes, signature: bytes, offset: int, value: int, size: int = 4) -> bytes:
    """Overwrite a number behind the last place of a signature."""
    place = content.rindex(signature) + offset
    return content[:place] + value.to_bytes(size, "little") + content[place + size :]


def test_stored_and_deflated_members_are_read() -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        content = zip_bytes([("a", b"x" * 3000), ("b", b"")], method)
        with open_zip(io.BytesIO(content)) as archive:
            assert read_member(archive, "a", 3000) == b"x" * 3000
            assert read_member(archive, "b", 0) == b""
            with pytest.raises(ValueError, match="more than 2,999"):
                read_member(archive, "a", 2999)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(method: int) -> None:
    with pytest.raises(ValueError, match="neither stored nor deflated"):
        names_in(zip_bytes([("a", b"x" * 3000)], method))


def test_sizes_that_the_bytes_cannot_hold_are_refused() -> None:
    deflated = zip_bytes([("a", b"x" * 3000)])
    with pytest.raises(ValueError, match="claims 1,000,000,000 bytes"):
        names_in(put(deflated, b"PK\x01\x02", 24, 10**9))
    stored = zip_bytes([("a", b"x" * 3000)], zipfile.ZIP_STORED)
    with pytest.raises(ValueError, match="claims 3,001 bytes and has 3,000"):
        names_in(put(stored, b"PK\x01\x02", 24, 3001))
    for member in (20, 24):
        stored = put(stored, b"PK\x01\x02", member, 10**6)
    with pytest.raises(ValueError, match="more bytes than the file"):
        names_in(stored)
    with pytest.raises(ValueError, match="encrypted"):
        names_in(put(deflated, b"PK\x01\x02", 8, 1, 2))


def test_a_size_that_is_too_small_unpacks_no_more_than_that() -> None:
    content = put(zip_bytes([("a", bytes(10**6))]), b"PK\x01\x02", 24, 1000)
    with open_zip(io.BytesIO(content)) as archive, pytest.raises(zipfile.BadZipFile, match="CRC"):
        read_member(archive, "a", 1000)


def test_a_directory_of_millions_of_members_is_refused_unread() -> None:
    entry = zip_bytes([("", b"")], zipfile.ZIP_STORED)
    directory = entry[entry.index(b"PK\x01\x02") : entry.index(b"PK\x05\x06")]
    content = entry[: entry.index(b"PK\x01\x02")] + directory * 100_000 + entry[entry.index(b"PK\x05\x06") :]
    content = put(content, b"PK\x05\x06", 12, len(directory) * 100_000)
    with pytest.raises(ValueError, match=r"its directory has 4,600,000 bytes"):
        names_in(content)


def test_bombs_and_whole_files_of_the_project() -> None:
    shipped = sorted((ROOT / "log").glob("*/demo.npz"))
    assert shipped
    for path in shipped:
        assert "obs.npy" in names_in(path.read_bytes())
    faults = [Path(ROOT / "../shared/faults" / name) for name in ("bz2bomb.zip", "notebomb.keras")]
    if not all(path.exists() for path in faults):
        pytest.skip("the inputs that once did harm are not here")
    for path in faults:
        with pytest.raises(ValueError, match="neither stored nor deflated"):
            names_in(path.read_bytes())


@pytest.mark.parametrize(
    "name", ["", "/a", "a/../b", "..", ".", "a\\b", "a\nb", "\x1b[2J", "a" * 201, "a//b", "a\u202eb"]
)
def test_names_that_are_not_plain(name: str) -> None:
    assert not is_plain_name(name)


@pytest.mark.parametrize("name", ["obs", "learned/weights", "info_a/b", "file", "ünïcödé", "two words"])
def test_names_that_are_plain(name: str) -> None:
    assert is_plain_name(name)
