"""Files from the network: downloading them, and unpacking archives that nobody vouches for."""

from __future__ import annotations

import logging
import re
import shutil
import stat
import threading
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin

import pooch
import requests

from quantilizers.errors import UserError, reason_of
from quantilizers.files import sha256_of
from quantilizers.gates.regular_files import open_regular
from quantilizers.gates.zips import all_members, is_plain_name, open_zip

#: Largest download in bytes: the data sets are far smaller, and a server may never stop sending.
MAX_DOWNLOADED_BYTES = 2 * 10**9
#: Largest size of an unpacked archive in bytes, including the arrays inside its npz files.
MAX_UNPACKED_BYTES = 2 * 10**9
#: Longest wait for a part of an answer, and longest download.
TIMEOUT_SECONDS = 30.0
DEADLINE_SECONDS = 1800.0
PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib")
_CHUNK_BYTES = 1 << 16
_NAME = "download"
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def fetch(url: str, folder: Path, sha256: str | None = None) -> Path:
    """Download a file into a folder, with a progress bar, and return its path.

    Args:
        url: an http or https address. Redirects are followed, but none from https to http.
        folder: for the file.
        sha256: of the file, in hexadecimal; None accepts any.

    Raises:
        UserError: another kind of address, no download within `DEADLINE_SECONDS`, or another file.
    """
    if not url.startswith(("http://", "https://")):
        raise UserError("it is not an http:// or https:// address")
    pooch.get_logger().setLevel(logging.ERROR)
    download = _Download(url, folder)
    # A server that sends a byte now and then keeps a read waiting.
    thread = threading.Thread(target=download.run, daemon=True)
    thread.start()
    thread.join(DEADLINE_SECONDS)
    if thread.is_alive():
        download.stopped = True
        raise UserError(f"the download takes longer than {DEADLINE_SECONDS:g} s")
    if download.problem:
        raise UserError(download.problem)
    path = folder / _NAME
    if sha256 is not None and (found := sha256_of(path)) != sha256:
        raise UserError(f"it is another file: its SHA-256 is {found}, not {sha256}")
    return path


class _Download:
    """A download in a thread, and the file that it is written to, with a limit on its size.

    Attributes:
        problem: what went wrong, once `run` has ended.
        stopped: whether the next write ends it.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.problem = ""
        self.stopped = False
        self._url, self._folder = url, folder
        self._left = MAX_DOWNLOADED_BYTES

    def run(self) -> None:
        """Download; any answer may be malformed."""
        try:
            pooch.retrieve(self._url, known_hash=None, fname=_NAME, path=self._folder, downloader=self._download)
        except UserError as error:
            self.problem = str(error)
        except Exception as error:
            self.problem = _problem_of(error, self._folder)

    def _download(self, url: str, output_file: str, base: Any) -> None:
        """Download as pooch does."""
        downloader = pooch.HTTPDownloader(
            progressbar=True, chunk_size=_CHUNK_BYTES, timeout=TIMEOUT_SECONDS, hooks={"response": _stay_secure}
        )
        with Path(output_file).open("wb") as self._file:
            downloader(url, self, base)

    def write(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self.stopped or self._left < 0:
            raise UserError(f"it sends more than {MAX_DOWNLOADED_BYTES:,} bytes")
        self._file.write(chunk)

    def flush(self) -> None:
        self._file.flush()


def _stay_secure(response: requests.Response, *_: object, **__: object) -> None:
    """Refuse a redirect from https to http."""
    target = urljoin(response.url, response.headers.get("location", ""))
    if response.is_redirect and response.url.startswith("https:") and not target.startswith("https:"):
        raise UserError("the server redirects from https to http")


def _problem_of(error: Exception, folder: Path) -> str:
    """Describe why a download failed."""
    match error:
        case requests.HTTPError(response=response) if response is not None:
            return f"the server answers {response.status_code} {response.reason}"
        case requests.Timeout():
            return "the server does not answer in time"
        case requests.exceptions.ChunkedEncodingError() | requests.exceptions.ContentDecodingError():
            return "the connection broke half-way"
        case requests.ConnectionError():
            # requests wraps a connection that breaks while the body is read in the same class as one never made.
            broke = "Read timed out" in str(error) or "IncompleteRead" in str(error)
            return "the connection broke half-way" if broke else "no connection to the server"
        case requests.RequestException():
            return reason_of(error)
        case OSError():
            return f"cannot keep it in {folder}: {error.strerror or error}"
    return f"the server's answer is malformed ({reason_of(error)})"


@dataclass(frozen=True)
class Member:
    """An npz file of an archive: its path in the archive, and the unpacked file."""

    path: PurePosixPath
    file: Path


def unpack_data(archive: Path, folder: Path) -> list[Member]:
    """Unpack the npz files of a zip, in its order, into an empty folder under names that the archive did not choose.

    Hidden files and macOS's resource forks are skipped.

    Raises:
        UserError: the zip is damaged, has no npz file, or has something that no honest archive has: absolute paths,
            `..`, links, pickles, or more than `MAX_UNPACKED_BYTES` unpacked.
    """
    try:
        with open_regular(archive) as zipped, open_zip(zipped) as opened:
            entries = [entry for entry in all_members(opened) if not _is_spurious_root(entry)]
            for entry in entries:
                _check_entry(entry)
            _check_size(sum(entry.file_size for entry in entries))
            members: list[Member] = []
            for entry in filter(_is_data, entries):
                file = folder / f"{len(members)}.npz"
                with opened.open(entry) as source, file.open("wb") as target:
                    shutil.copyfileobj(source, target)
                members.append(Member(PurePosixPath(entry.filename), file))
    except _DAMAGES as error:
        raise UserError(f"it is damaged or half ({reason_of(error)})") from None
    except OSError as error:
        raise UserError(f"cannot unpack it in {folder}: {error.strerror or error}") from None
    if not members:
        raise UserError("it has no .npz file")
    _check_size(sum(map(_unpacked_size, members)))
    return members


def has_arrays(archive: Path) -> bool:
    """Return whether a zip is an npz file, or something else of arrays, and no archive of data sets.

    Raises:
        UserError: it is damaged.
    """
    try:
        with open_regular(archive) as zipped, open_zip(zipped) as opened:
            names = [entry.filename for entry in all_members(opened)]
    except _DAMAGES as error:
        raise UserError(f"it is damaged or half ({reason_of(error)})") from None
    return any(name.endswith(".npy") for name in names) and not any(name.endswith(".npz") for name in names)


def _is_spurious_root(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry is the folder `/` that Dropbox puts into the zip of every shared folder."""
    return entry.orig_filename == "/" and entry.file_size == 0


def _check_entry(entry: zipfile.ZipInfo) -> None:
    # zipfile cleans names up; orig_filename is the name in the archive.
    name = entry.orig_filename.replace("\\", "/")
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        raise UserError(f"it has the absolute path {name!r}, which no honest archive has")
    if ".." in name.split("/") or "\0" in name:
        raise UserError(f"it has the path {name!r}, which leaves its folder")
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UserError(f"it has the link or device {name!r}, which is never followed")
    if name.casefold().endswith(PICKLE_SUFFIXES):
        raise UserError(f"it has the pickle {name!r}; pickles can run anything and are never read")
    if _is_data(entry) and not is_plain_name(name):
        raise UserError(
            f"it has {name!r}; a data set has the name of its file, which is printable and at most 200 letters"
        )


def _is_data(entry: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(entry.filename).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return entry.filename.casefold().endswith(".npz") and not hidden


def _check_size(size: int) -> None:
    if size > MAX_UNPACKED_BYTES:
        raise UserError(f"it unpacks to {size:,} bytes, more than {MAX_UNPACKED_BYTES:,}")


def _unpacked_size(member: Member) -> int:
    """Return the bytes of the arrays in an npz file, which is a zip itself."""
    try:
        with open_regular(member.file) as zipped, open_zip(zipped) as arrays:
            return sum(entry.file_size for entry in arrays.infolist())
    except _DAMAGES:
        # Reading this file later reports the damage.
        return member.file.stat().st_size
