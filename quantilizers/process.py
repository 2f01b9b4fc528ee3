"""The process of a program: Ctrl-C ends it at once, and a broken standard stream is reported in one line.

Python handles a signal between two of its own instructions, and libraries can compile or compute for minutes within
one. Therefore a thread handles it: it removes temporary files, prints how to resume, and ends the process. Finished
files are whole anyway, because they are written under another name and renamed.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from quantilizers.errors import UserError

INTERRUPTED = 130
#: Seconds for cleaning up before the process ends in any case, and for its children to end.
PATIENCE = 1.5
_CHILDREN_PATIENCE = 0.5
_ENDINGS = [signal.SIGINT, signal.SIGTERM, *([] if os.name == "nt" else [signal.SIGHUP])]
_clean_ups: list[Callable[[], object]] = []
#: Held while a child process is being started.
_starting = threading.Lock()
#: The handlers of signals before `ending_at_once`, while its block runs.
_before: dict[signal.Signals, Any] = {}


@contextmanager
def on_interruption(clean_up: Callable[[], object]) -> Iterator[None]:
    """Call a function, in another thread, if the process is interrupted while this block runs."""
    _clean_ups.append(clean_up)
    try:
        yield
    finally:
        _clean_ups.remove(clean_up)


@contextmanager
def child_environment(variables: Mapping[str, str] | None = None) -> Iterator[None]:
    """Set environment variables for Python processes that start in this block; those that are set already stay.

    The processes do not import modules from the current folder, where anybody's files may lie.
    """
    wanted = {"PYTHONSAFEPATH": "1", **(variables or {})}
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def ignoring_ctrl_c() -> Iterator[None]:
    """Start processes in this block that ignore Ctrl-C, which a terminal sends to all; this one ends the others.

    They inherit a blocked signal; otherwise a process that is still importing would print a traceback. A Ctrl-C in this
    process is handled after the block, when all processes that have to be ended are known.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # starting it later, with the first process, would unblock the signal
    with _starting:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ending_at_once(last_words: Callable[[], str]) -> Iterator[None]:
    """End the process with exit code 130 at the first Ctrl-C, SIGTERM or SIGHUP while this block runs.

    `last_words` returns the line that is printed. Other threads than the main one cannot handle signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, tell = socket.socketpair()
    tell.setblocking(False)
    begun = threading.Event()
    # A signal that the process was started to ignore is ignored.
    meanings = {number: signal.getsignal(number) for number in _ENDINGS}
    _before.update({number: meaning for number, meaning in meanings.items() if meaning is not signal.SIG_IGN})
    answered = list(_before)
    for number in answered:
        signal.signal(number, _leave_to_the_thread)
    old = signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(heard, answered, begun, last_words), daemon=True)
    listener.start()
    try:
        yield
    finally:
        if begun.is_set():
            listener.join()  # which ends the process
        _restore_signals(old)
        tell.close()  # which ends the thread


def _restore_signals(old: int = -1) -> None:
    if _before:
        signal.set_wakeup_fd(old)
    while _before:
        signal.signal(*_before.popitem())


if hasattr(os, "register_at_fork"):
    # A forked process has no such thread, and would tell that of its parent.
    os.register_at_fork(after_in_child=_restore_signals)


def _leave_to_the_thread(number: int, frame: object) -> None:
    """Do nothing in the main thread, where Python may run a handler too late."""


def _listen(
    heard: socket.socket, answered: list[signal.Signals], begun: threading.Event, last_words: Callable[[], str]
) -> None:
    """Wait for a signal, then end the process."""
    while (number := heard.recv(1)) and number[0] not in answered:
        pass
    if not number:
        heard.close()
        return
    # The socket stays open: Python prints a traceback if it cannot write a further signal to it.
    begun.set()
    cleaning = threading.Thread(target=_clean_up, args=(last_words,), daemon=True)
    cleaning.start()
    cleaning.join(PATIENCE)
    _kill(_children())  # a clean-up may hang, and a process that was just forked does not hear of its end
    os._exit(INTERRUPTED)


def _clean_up(last_words: Callable[[], str]) -> None:
    """End the child processes, call the clean-up functions, and print the last words."""
    _starting.acquire(timeout=_CHILDREN_PATIENCE)  # never released: no further process is started
    children = _children()
    for child in children:
        with suppress(Exception):
            child.terminate()
    for clean_up in reversed(_clean_ups):
        with suppress(Exception):
            clean_up()
    # Not by sys.stderr, whose lock the main thread may hold.
    with suppress(OSError):
        os.write(2, f"\n{last_words()}\n".encode(errors="backslashreplace"))
    last = time.monotonic() + _CHILDREN_PATIENCE
    for child in children:
        child.join(max(0.0, last - time.monotonic()))
    _kill(children)
    with suppress(Exception):
        sys.stdout.flush()


def _children() -> list[Any]:
    multiprocessing = sys.modules.get("multiprocessing")
    return multiprocessing.active_children() if multiprocessing else []


def _kill(children: Iterable[Any]) -> None:
    for child in children:
        with suppress(Exception):
            child.kill()


class _GuardedStream:
    """A standard stream that stops no work: it escapes letters that its encoding lacks, and ignores failed writes.

    If a write to standard error failed, tqdm would never release its lock.

    Attributes:
        failure: the first failed write; of standard output, what follows is dropped, too.
    """

    def __init__(self, stream: Any, nowhere: TextIO, output: bool = False) -> None:
        self._closed = stream is None
        self._stream = nowhere if stream is None else stream
        self._output = output
        self.failure = ""

    def write(self, text: str) -> int:
        try:
            self._attempt("write", text)
        except UnicodeEncodeError:
            self._attempt("write", text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        if self._closed:
            self.failure = "it is closed"
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._attempt("flush")

    def _attempt(self, method: str, *arguments: str) -> None:
        if self._output and self.failure:
            return
        try:
            getattr(self._stream, method)(*arguments)
        except OSError as error:
            self.failure = self.failure or error.strerror or str(error)
            if self._output:
                discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Escape in the block what standard output and error cannot show, and continue where they cannot be written."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # it is closed, and the next file to be opened would be it
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    output, error = sys.stdout, sys.stderr
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            sys.stdout = _GuardedStream(output, nowhere, output=True)  # type: ignore[assignment]
            sys.stderr = _GuardedStream(error, nowhere)  # type: ignore[assignment]
            yield
    finally:
        sys.stdout, sys.stderr = output, error
        try:
            if error is not None:
                error.flush()
        except OSError:
            discard(error)


@contextmanager
def output_is_whole() -> Iterator[None]:
    """Raise a `UserError` if a part of what the block wrote to standard output is lost; inside `guarded_streams`."""
    ended = None
    try:
        yield
    except SystemExit as error:  # help was printed
        ended = error
    sys.stdout.flush()
    if failure := getattr(sys.stdout, "failure", ""):
        raise UserError(f"cannot write to standard output: {failure}")
    if ended is not None:
        raise ended


def write_bytes(content: bytes) -> None:
    """Write to standard output as it is."""
    sys.stdout.flush()
    try:
        if sys.__stdout__ is None:
            raise OSError("it is closed")
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except OSError as error:
        discard(sys.stdout)
        raise UserError(f"cannot write to standard output: {error.strerror or error}") from error


def discard(stream: Any) -> None:
    """Discard a stream's buffer, which Python would flush at exit, changing the exit code."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def display_is_named() -> bool:
    """Return whether a window can be opened: on Linux a variable has to name a display or a video driver."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in names)
