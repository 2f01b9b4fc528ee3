"""Ctrl-C and the system's request to end, which are obeyed at once, whatever the process is doing.

Python hears of a signal between two steps of its own, and libraries can compile or compute for minutes in one. Here a
thread hears of it instead: it clears away what is half done, says how to go on, and ends the process. What is finished
is whole anyway, for files are renamed when they are, so that there is nothing to wait for.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

INTERRUPTED = 130
#: Seconds after which the process ends, whether all is cleared away or not, and those that its processes have to end.
PATIENCE = 1.5
_CHILDREN_PATIENCE = 0.5
#: Held while a process is being started, and for good once this one is interrupted.
_starting = threading.Lock()
#: What is called when the process is interrupted, the last first.
_clearing: list[Callable[[], object]] = []
#: What signals meant before they were answered here, while they are.
_before: dict[signal.Signals, Any] = {}
#: What a thread that forks let through before.
_masked = threading.local()


@contextmanager
def clearing_away(clear: Callable[[], object]) -> Iterator[None]:
    """Have a function called, in a thread of its own, if the process is interrupted while this block runs.

    Args:
        clear: what it clears away is not waited for longer than `PATIENCE`.
    """
    _clearing.append(clear)
    try:
        yield
    finally:
        _clearing.remove(clear)


@contextmanager
def starting_a_process() -> Iterator[None]:
    """Start a process in this block whose end an interruption can see to, and which does not hear of Ctrl-C itself.

    Until it is started, nobody knows whom to end, so that an interruption waits for this block; after an interruption
    no process is started. Ctrl-C reaches all processes of a terminal, also those that still import what they need,
    and they would print a traceback: the new process is started with the signal blocked, and `leave_to_the_first`
    is its answer to it.
    """
    blocked = hasattr(signal, "pthread_sigmask")
    if blocked:
        # Starting the tracker, as a first process does, would unblock the signal.
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()
    with _starting:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]) if blocked else ()
        try:
            yield
        finally:
            if blocked:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_to_the_first() -> None:
    """Ignore Ctrl-C, in a process of `starting_a_process`: the first process ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


@contextmanager
def ending_at_once(last_words: Callable[[], str]) -> Iterator[None]:
    """End the process with exit code 130 at the first Ctrl-C or SIGTERM while this block runs; in the main thread only.

    A second one does not even clear away.

    Args:
        last_words: the line that is printed.
    """
    heard, tell = socket.socketpair()
    begun = threading.Event()
    tell.setblocking(False)
    meanings = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Who started the process so that it ignores a signal is obeyed.
    _before.update({number: meaning for number, meaning in meanings.items() if meaning is not signal.SIG_IGN})
    answered = list(_before)
    for number in answered:
        signal.signal(number, _left_to_the_thread)
    old = signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
    listening = threading.Thread(target=_listen, args=(heard, answered, begun, last_words), daemon=True)
    listening.start()
    try:
        yield
    finally:
        if begun.is_set():
            # It is said to be interrupted, so that it may not end as if it were not.
            listening.join()
        _answer_no_more(old)
        tell.close()  # which ends the thread


def _answer_no_more(old: int = -1) -> None:
    """Let signals mean what they meant before."""
    if _before:
        signal.set_wakeup_fd(old)
    while _before:
        signal.signal(*_before.popitem())


def _hold_signals_back() -> None:
    """Have this thread hear of no signal until `_hear_again`."""
    _masked.before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])


def _hear_again() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masked.before)


def _begin_as_a_fork() -> None:
    _answer_no_more()
    _hear_again()


# A process that is forked has not the thread, and would tell that of this one: a signal that ends the new process would
# count here as a second one, and mean nothing there. It waits until it means what it meant before.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_signals_back, after_in_parent=_hear_again, after_in_child=_begin_as_a_fork)


def _left_to_the_thread(number: int, frame: object) -> None:
    """Do nothing in the main thread, which may hear of the signal too late."""


def _listen(
    heard: socket.socket, answered: list[signal.Signals], begun: threading.Event, last_words: Callable[[], str]
) -> None:
    """Wait for a signal, then end the process."""
    if not _wait(heard, answered, None):
        heard.close()
        return
    begun.set()
    clearing = threading.Thread(target=_clear_away, args=(last_words,), daemon=True)
    clearing.start()
    # A second signal, or the end of the time, ends it anyway.
    watching = threading.Thread(target=_wait_and_end, args=(heard, answered), daemon=True)
    watching.start()
    clearing.join(PATIENCE)
    os._exit(INTERRUPTED)


def _wait(heard: socket.socket, answered: list[signal.Signals], seconds: float | None) -> bool:
    """Return whether one of the signals came, and not the end of what listens to them."""
    heard.settimeout(seconds)
    while True:
        try:
            numbers = heard.recv(1)
        except OSError:
            return False
        if not numbers:
            return False
        if numbers[0] in answered:
            return True


def _wait_and_end(heard: socket.socket, answered: list[signal.Signals]) -> None:
    if _wait(heard, answered, None):
        os._exit(INTERRUPTED)


def _clear_away(last_words: Callable[[], str]) -> None:
    """End the processes that this one started, clear away what is half done, and say the last words."""
    # One that is being started is waited for, and no other one is started instead of those that end here.
    _starting.acquire(timeout=_CHILDREN_PATIENCE)
    multiprocessing = sys.modules.get("multiprocessing")  # which is imported where processes are started
    children = multiprocessing.active_children() if multiprocessing else []
    for child in children:
        with suppress(Exception):
            child.terminate()
    for clear in reversed(_clearing):
        # What cannot be cleared away keeps nothing else from it.
        with suppress(Exception):
            clear()
    # Not by sys.stderr, which the main thread may hold.
    with suppress(OSError):
        os.write(2, f"\n{last_words()}\n".encode(errors="backslashreplace"))
    last = time.monotonic() + _CHILDREN_PATIENCE
    for child in children:
        child.join(max(0.0, last - time.monotonic()))
    for child in children:
        child.kill()
    with suppress(Exception):
        sys.stdout.flush()
