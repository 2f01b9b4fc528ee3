from __future__ import annotations

import errno
import hashlib
import io
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from loopback import Loopback, serving
from quantilizers.datasets import downloads
from quantilizers.datasets.downloads import fetch, unpack_data
from quantilizers.envs.people_play import SOURCES
from quantilizers.errors import UserError


def npz_bytes(**arrays: Any) -> bytes:
    target = io.BytesIO()
    np.savez_compressed(target, **(arrays or {"obs": np.arange(6.0)}))
    return target.getvalue()


@pytest.fixture
def unpack(tmp_path: Path) -> Callable[..., list[downloads.Member]]:
    """Write a zip of the given entries and unpack it."""

    def write_and_unpack(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> list[downloads.Member]:
        with zipfile.ZipFile(tmp_path / "data.zip", "w", zipfile.ZIP_DEFLATED) as target:
            for entry, content in entries:
                target.writestr(entry, content)
        (tmp_path / "unpacked").mkdir()
        return unpack_data(tmp_path / "data.zip", tmp_path / "unpacked")

    return write_and_unpack


def test_npz_files_are_found_wherever_they_are(unpack: Callable[..., list[downloads.Member]]) -> None:
    members = unpack(
        ("log/MountainCar-v0/", b""),
        ("log/MountainCar-v0/ryan.npz", npz_bytes(obs=np.arange(3))),
        ("Hopper-v2/people.NPZ", npz_bytes(obs=np.arange(4))),
        ("readme.txt", b"hello"),
        ("__MACOSX/Hopper-v2/._people.npz", b"resource fork"),
        (".hidden/x.npz", b"?"),
    )
    assert [str(member.path) for member in members] == ["log/MountainCar-v0/ryan.npz", "Hopper-v2/people.NPZ"]
    assert [len(np.load(member.file)["obs"]) for member in members] == [3, 4]


def test_the_root_that_dropbox_puts_into_every_zip_is_no_absolute_path(
    unpack: Callable[..., list[downloads.Member]],
) -> None:
    assert len(unpack(("/", b""), ("MountainCar-v0/ryan.npz", npz_bytes()))) == 1


def link(name: str, kind: int = stat.S_IFLNK) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (kind | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("entry", "content", "problem"),
    [
        ("/etc/data.npz", b"x", "absolute"),
        ("C:/data.npz", b"x", "absolute"),
        ("\\\\server\\data.npz", b"x", "absolute"),
        ("/", b"not a folder", "absolute"),
        ("../data.npz", b"x", "leaves"),
        ("MountainCar-v0/../../data.npz", b"x", "leaves"),
        ("MountainCar-v0\\..\\..\\data.npz", b"x", "leaves"),
        (link("MountainCar-v0/data.npz"), b"/etc/passwd", "link"),
        (link("fifo", stat.S_IFIFO), b"", "link or device"),
        ("models/q.pkl", b"x", "pickle"),
        ("MountainCar-v0/\x1b]0;PWNED\x07\x1b[2J.npz", b"x", "printable"),
        ("MountainCar-v0/a\nwrote b.npz", b"x", "printable"),
        ("MountainCar-v0/" + "a" * 300 + ".npz", b"x", "short|printable"),
        ("models/q.JobLib", b"x", "pickle"),
    ],
)
def test_what_no_honest_archive_has_is_refused(
    unpack: Callable[..., list[downloads.Member]], tmp_path: Path, entry: Any, content: bytes, problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        unpack(("MountainCar-v0/good.npz", npz_bytes()), (entry, content))
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_a_bomb_is_refused_by_what_it_says_it_unpacks_to(
    unpack: Callable[..., list[downloads.Member]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MAX_UNPACKED_BYTES", 10_000)
    with pytest.raises(UserError, match="unpacks to"):
        unpack(("zeros.npz", b"\0" * 20_000))
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_a_bomb_inside_an_npz_is_refused(
    unpack: Callable[..., list[downloads.Member]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MAX_UNPACKED_BYTES", 10_000)
    with pytest.raises(UserError, match="unpacks to"):
        unpack(("zeros.npz", npz_bytes(obs=np.zeros(2_000))))


def test_the_limit_is_two_gigabytes() -> None:
    assert downloads.MAX_UNPACKED_BYTES == 2_000_000_000


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
def test_half_a_zip_is_refused(tmp_path: Path, kept: float) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as target:
        target.writestr("MountainCar-v0/a.npz", npz_bytes(obs=np.random.default_rng(0).random(500)))
    (tmp_path / "half.zip").write_bytes(whole.getvalue()[: int(kept * len(whole.getvalue()))])
    with pytest.raises(UserError, match="damaged or half"):
        unpack_data(tmp_path / "half.zip", tmp_path)


def test_of_a_damaged_directory_only_a_line_is_quoted(tmp_path: Path) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as target:
        target.writestr("a.npz", npz_bytes(obs=np.random.default_rng(0).random(5_000)))
    content = bytearray(whole.getvalue())
    content[26:28] = b"\xff\x7f"  # the name's length in the member's own header
    (tmp_path / "damaged.zip").write_bytes(content)
    with pytest.raises(UserError, match="damaged or half") as raised:
        unpack_data(tmp_path / "damaged.zip", tmp_path)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("place", [60, 300])
def test_a_flipped_byte_is_noticed(tmp_path: Path, place: int) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("a.npz", npz_bytes(obs=np.random.default_rng(0).random(500)))
    content = bytearray(whole.getvalue())
    content[place] ^= 0xFF
    (tmp_path / "flipped.zip").write_bytes(content)
    with pytest.raises(UserError, match="damaged or half"):
        unpack_data(tmp_path / "flipped.zip", tmp_path)


def test_an_archive_without_data_is_refused(unpack: Callable[..., list[downloads.Member]]) -> None:
    with pytest.raises(UserError, match=r"no \.npz"):
        unpack(("readme.txt", b"hello"))


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
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.2)
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
    monkeypatch.setattr(downloads, "MAX_DOWNLOADED_BYTES", 100_000)
    loopback.files["/data.zip"] = b"x" * 300_000
    with pytest.raises(UserError, match="more than 100,000 bytes"):
        fetch(loopback.url("/data.zip"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named(loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloads._Download, "write", full)
    loopback.files["/data.zip"] = b"content"
    with pytest.raises(UserError, match="No space left"):
        fetch(loopback.url("/data.zip"), tmp_path)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/data.zip", "file:///etc/passwd", "data.zip", ""])
def test_other_addresses_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="http"):
        fetch(url, tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://" + b"x" * 300 + b".example/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /malformed\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
        b"HTTP/1.1 999999 \xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
        b"nothing that HTTP knows\r\n",
        b"",
    ],
)
def test_a_malformed_answer_is_one_line_and_leaves_nothing(answer: bytes, loopback: Loopback, tmp_path: Path) -> None:
    loopback.raw["/malformed"] = answer
    with pytest.raises(UserError) as raised:
        fetch(loopback.url("/malformed"), tmp_path)
    assert len(str(raised.value)) < 300
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 99, b"x" * 99])
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(
    answer: bytes, loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "DEADLINE_SECONDS", 0.3)
    loopback.raw["/data.zip"], loopback.pause = answer, 0.05
    with pytest.raises(UserError, match=r"takes longer than 0\.3 s"):
        fetch(loopback.url("/data.zip"), tmp_path)


def test_a_file_of_another_content_is_refused(loopback: Loopback, tmp_path: Path) -> None:
    loopback.files["/data.zip"] = b"content"
    right = hashlib.sha256(b"content").hexdigest()
    assert fetch(loopback.url("/data.zip"), tmp_path / "right", right).read_bytes() == b"content"
    with pytest.raises(UserError, match=f"its SHA-256 is {right}, not {'0' * 64}"):
        fetch(loopback.url("/data.zip"), tmp_path / "wrong", "0" * 64)


@pytest.mark.parametrize("location", ["http://example.org/data.zip", "HTTP://example.org/", "ftp://example.org/"])
def test_https_stays_https(location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(adapter: Any, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        asked.append(request.url)
        response = requests.Response()
        response.status_code, response.url, response.request = 302, str(request.url), request
        response.headers["Location"] = location
        return response

    asked: list[str | None] = []
    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with pytest.raises(UserError, match="redirects from https to http"):
        fetch("https://example.org/", tmp_path)
    assert asked == ["https://example.org/"]


def test_a_source_with_a_hash_names_a_commit() -> None:
    (pinned,) = [source for source in SOURCES.values() if source.sha256]
    assert re.search(r"^https://raw\.githubusercontent\.com/[^/]+/[^/]+/[0-9a-f]{40}/", pinned.url)
    assert re.fullmatch("[0-9a-f]{64}", pinned.sha256 or "")
