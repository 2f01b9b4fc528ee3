"""A web server on this machine, for tests that must not reach the network."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Loopback:
    """A server on 127.0.0.1.

    Attributes:
        files: contents by path.
        types: content types, by path; `application/zip` otherwise.
        redirects: paths that lead to other paths.
        cut_after: bytes of a body after which the connection breaks; None never breaks it.
        silent: never answer.
        raw: whole answers, by path, which may be malformed.
        pause: seconds between two bytes of these.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.redirects: dict[str, str] = {}
        self.cut_after: int | None = None
        self.silent = False
        self.raw: dict[str, bytes] = {}
        self.pause = 0.0
        self._released = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def stop(self) -> None:
        """Stop serving; again is harmless."""
        self._released.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        loopback = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                if loopback.silent:
                    loopback._released.wait(5)
                elif path in loopback.raw:
                    for byte in loopback.raw[path]:
                        self.wfile.write(bytes([byte]))
                        if loopback.pause and loopback._released.wait(loopback.pause):
                            break
                elif path in loopback.redirects:
                    self.send_response(302)
                    self.send_header("Location", loopback.redirects[path])
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif path not in loopback.files:
                    self.send_error(404)
                else:
                    body = loopback.files[path]
                    self.send_response(200)
                    self.send_header("Content-Type", loopback.types.get(path, "application/zip"))
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body[: loopback.cut_after])

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


@contextmanager
def serving() -> Iterator[Loopback]:
    """Give a server, and stop it in the end."""
    server = Loopback()
    try:
        yield server
    finally:
        server.stop()
