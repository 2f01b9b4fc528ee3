from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopback import Loopback, serving
from quantilizers.datasets.sources import fetch as fetching
from quantilizers.datasets.sources.fetch import fetch
from quantilizers.errors import UserError


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with serving() as server:
        yield server


def test_a_file_comes_whole_with_a_progress_bar(
    loopback: Loopback, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = bytes(range(256)) * 1000
    loopback.files["/data.zip"] = content
    assert fetch(loopback.url("/data.zip"), tmp_path).read_bytes() == content
    shown = capfd.readouterr().err
    assert "100%" in shown
    assert "256k/256k" in shown


def test_redirects_are_followed(loopback: Loopback, tmp_path: Path) -> None:
    loopback.files["/data.zip"] = b"content"
    loopback.redirects["/share"] = "/data.zip"
    assert fetch(loopback.url("/share"), tmp_path).read_bytes() == b"content"


def test_what_the_server_refuses_is_named(loopback: Loopback, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="404 Not Found"):
        fetch(loopback.url("/nothing"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_breaks_half_way_leaves_nothing(loopback: Loopback, tmp_path: Path) -> None:
    loopback.files["/data.zip"] = b"x" * 300_000
    loopback.cut_after = 100_000
    with pytest.raises(UserError, match="half-way"):
        fetch(loopback.url("/data.zip"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_hangs_is_given_up(loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT_SECONDS", 0.2)
    loopback.files["/data.zip"] = b"x"
    loopback.silent = True
    with pytest.raises(UserError, match="does not answer in time"):
        fetch(loopback.url("/data.zip"), tmp_path)


def test_no_network_is_named(loopback: Loopback, tmp_path: Path) -> None:
    loopback.stop()
    with pytest.raises(UserError, match="no connection"):
        fetch(loopback.url("/data.zip"), tmp_path)


def test_a_server_that_sends_for_ever_is_cut_off(
    loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MAX_DOWNLOADED_BYTES", 100_000)
    loopback.files["/data.zip"] = b"x" * 300_000
    with pytest.raises(UserError, match="more than 100,000 bytes"):
        fetch(loopback.url("/data.zip"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named(loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching._BoundedFile, "write", full)
    loopback.files["/data.zip"] = b"content"
    with pytest.raises(UserError, match="No space left"):
        fetch(loopback.url("/data.zip"), tmp_path)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/data.zip", "file:///etc/passwd", "data.zip", ""])
def test_other_addresses_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="http"):
        fetch(url, tmp_path)
