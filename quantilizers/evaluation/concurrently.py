"""Work that is done in threads, for it lets go of Python's lock most of the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event, Lock
from typing import Any, TypeVar

Part = TypeVar("Part")
Progress = Callable[[int], object]


def each_done(
    work: Callable[[Part, Progress | None], object], parts: Sequence[Part], threads: int, on_step: Progress | None
) -> Iterator[Part]:
    """Do work in parts, and give each part when it is done, in no particular order.

    When one part fails, or the caller is interrupted, the others are stopped at their next step.

    Args:
        work: takes a part, and what it is to call after each of its steps.
        parts: of the work.
        threads: how many are worked on at the same time; 1 works in the caller's own thread, one after the other.
        on_step: is called after each step of any part, by one thread at a time.
    """
    if threads == 1:
        for part in parts:
            work(part, on_step)
            yield part
        return
    stop, lock = Event(), Lock()

    def stepped(number: int) -> None:
        if stop.is_set():
            raise InterruptedError("another part of the work has failed, or all of it was stopped")
        if on_step is not None:
            with lock:
                on_step(number)

    with ThreadPoolExecutor(threads) as pool:
        doing: dict[Any, Part] = {pool.submit(work, part, stepped): part for part in parts}
        try:
            for done in as_completed(doing):
                done.result()
                yield doing[done]
        finally:
            # Leaving the pool waits for its threads.
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
