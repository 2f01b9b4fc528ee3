"""Downloading one file into a temporary place."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import IO, Any

import pooch
import requests

from quantilizers.errors import UserError

#: The most that is downloaded, in bytes: the data sets are far smaller, and a server may send for ever.
MAX_DOWNLOADED_BYTES = 2 * 10**9
TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 16


class _BoundedFile:
    """A file that takes no more than so many bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = MAX_DOWNLOADED_BYTES

    def write(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise UserError(f"it sends more than {MAX_DOWNLOADED_BYTES:,} bytes")
        self._file.write(chunk)

    def flush(self) -> None:
        self._file.flush()


def _download(url: str, output_file: str, base: Any) -> None:
    """Download as pooch does, with a progress bar and a bound."""
    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=_CHUNK_BYTES, timeout=TIMEOUT_SECONDS)
    with Path(output_file).open("wb") as file:
        downloader(url, _BoundedFile(file), base)


def fetch(url: str, folder: Path) -> Path:
    """Download a file, with a progress bar.

    Args:
        url: an http or https address.
        folder: an empty folder to put it into.

    Returns:
        The file.

    Raises:
        UserError: it did not come whole; the message says why, in a few words.
    """
    if not url.startswith(("http://", "https://")):
        raise UserError("it is not an http:// or https:// address")
    pooch.get_logger().setLevel(logging.ERROR)
    try:
        return Path(pooch.retrieve(url, known_hash=None, fname="download", path=folder, downloader=_download))
    except requests.HTTPError as error:
        response = error.response
        answer = "an error" if response is None else f"{response.status_code} {response.reason}"
        raise UserError(f"the server answers {answer}") from None
    except requests.Timeout:
        raise UserError("the server does not answer in time") from None
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
        raise UserError("the connection broke half-way") from None
    except requests.ConnectionError as error:
        # requests wraps a connection that breaks while the body is read in the same class as one never made.
        broke = "Read timed out" in str(error) or "IncompleteRead" in str(error)
        raise UserError("the connection broke half-way" if broke else "no connection to the server") from None
    except requests.RequestException as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"cannot keep it in {folder}: {error.strerror or error}") from None
