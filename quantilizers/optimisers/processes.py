"""Work in processes of its own, as many at a time as there are cores."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from quantilizers.errors import UserError
from quantilizers.processors import available_cores

Work = TypeVar("Work")
Send = Callable[[Any], None]

_MESSAGE, _ERROR = "message", "error"


def run_side_by_side(
    function: Callable[[Work, Send], None], works: Sequence[Work], on_message: Callable[[int, Any], None]
) -> None:
    """Call a function on each of several works, each in a fresh process.

    The processes end when this one does, however that happens.

    Args:
        function: defined at the top level of a module. Its second argument sends a message here.
        works: its first arguments.
        on_message: called here with a work's index and its message.

    Raises:
        UserError: a process raised one, or was killed.
        RuntimeError: a process raised anything else; its traceback is on standard error.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(enumerate(works))
    running: dict[Connection, tuple[int, SpawnProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < available_cores():
                index, work = waiting.pop(0)
                reader, writer = context.Pipe(duplex=False)
                process = context.Process(target=_run, args=(function, work, writer), daemon=True)
                process.start()
                writer.close()  # the child has its own; the reader sees the end when that one closes
                running[reader] = index, process
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                index, process = running[ready]
                try:
                    kind, content = ready.recv()
                except EOFError:
                    process.join()
                    del running[ready]
                    ready.close()
                    _check(process)
                    continue
                if kind == _ERROR:
                    raise UserError(content)
                on_message(index, content)
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _check(process: SpawnProcess) -> None:
    """Raise unless a process ended well."""
    code = process.exitcode or 0
    if code < 0:
        raise UserError(
            f"a training process was killed (signal {-code}), perhaps for want of memory; "
            "started again, it goes on from its last checkpoint"
        )
    if code > 0:
        raise RuntimeError(f"a training process ended with code {code}; its traceback stands above")


def _run(function: Callable[[Any, Send], None], work: Any, connection: Connection) -> None:
    """Do the work of a process."""
    # Ctrl-C reaches every process of the terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # An exit, unlike a signal, lets half a file be cleared away.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        function(work, lambda message: connection.send((_MESSAGE, message)))
    except UserError as error:
        connection.send((_ERROR, str(error)))
    except BrokenPipeError:
        return  # the process that started this one is gone
    finally:
        connection.close()
