"""Jobs that tests have run."""

from __future__ import annotations

import os
import signal
import time
import warnings
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import numpy as np

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import MissingError, NotInstalledError, OtherBitsWarning, UserError
from quantilizers.execution.executor import Send, Shared
from quantilizers.files import atomic_write
from quantilizers.processors import available_cores


@dataclass(frozen=True)
class Task:
    """A job with the values that its function needs."""

    name: str
    value: Any = None
    more: Any = None


def square(job: Task, send: Send) -> int:
    send({"of": job.value})
    return int(job.value**2)


def process(job: Task, send: Send) -> int:
    return os.getpid()


def total(job: Task, send: Send) -> tuple[float, int]:
    """Use shared arrays, and return their address in memory, which differs if they were sent again."""
    array = job.value.value["numbers"]
    return job.more * float(array.sum()), id(array)


def fail(job: Task, send: Send) -> None:
    kind = job.value
    if kind == "user":
        raise UserError("choose another seed")
    if kind == "other bits":
        warnings.warn("it has other threads", OtherBitsWarning, stacklevel=1)
    if kind == "bug":
        raise ZeroDivisionError
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


class DivergenceError(UserError):
    """An error whose constructor takes other arguments than its message."""

    def __init__(self, policy: str, value: str) -> None:
        super().__init__(f"the loss of {policy} is {value}")


def refuse(kind: str) -> None:
    if kind == "missing":
        raise MissingError("it is not there")
    if kind == "library":
        raise NotInstalledError("it needs a library", "h5py")
    if kind == "bug":
        raise ZeroDivisionError
    raise DivergenceError("x", "NaN")


def any_of_these(job: Task, send: Send) -> Any:
    """Run one of these functions, the job's value."""
    function, value = job.value
    return function(Task(job.name, value, job.more), send)


def play_for_ever(environment: EnvironmentDefinition) -> None:
    time.sleep(600)


def die_at_first(job: Task, send: Send) -> str:
    """Die until the folder has a given number of notes of it."""
    notes = Path(job.value)
    tried = len(list(notes.iterdir()))
    (notes / str(tried)).touch()
    if tried < job.more:
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def leave_slowly(job: Task, send: Send) -> None:
    """Have the process write a file and wait when it has no more to do, like one that has much to clean up."""

    def leave() -> None:
        Path(job.value).touch()
        time.sleep(600)

    Finalize(None, leave, exitpriority=0)


def write_slowly(job: Task, send: Send) -> None:
    with atomic_write(Path(job.value)) as temporary:
        temporary.write_text("half of it")
        send("writing")
        time.sleep(600)


def wait_for_ever(job: Task, send: Send) -> None:
    """Note the process, and never send anything."""
    Path(job.value).write_text(str(os.getpid()))
    time.sleep(600)


def surroundings(job: Task, send: Send) -> dict[str, Any]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return {"cores": available_cores(), **{name: os.environ.get(name) for name in names}}


def numbers(seed: int) -> Shared[Any]:
    return Shared({"numbers": np.random.default_rng(seed).random(1000)})


def note_and_wait(job: Task, send: Send) -> float:
    """Note the process, send its number, and take long enough the first time to be killed meanwhile."""
    with Path(job.value).open("a") as file:
        file.write(f"{os.getpid()}\n")
    send(os.getpid())
    if job.value.endswith("/0") and len(Path(job.value).read_text().split()) == 1:
        time.sleep(600)
    return float(job.more.value["numbers"].sum())
