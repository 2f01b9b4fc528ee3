"""Units of work that tests have other processes do."""

from __future__ import annotations

import os
import signal
import time
import warnings
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import numpy as np

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import OtherBitsWarning, UserError
from quantilizers.execution.units import Send, Shared
from quantilizers.files import atomic_write
from quantilizers.processors import available_cores


def square(number: int, send: Send) -> int:
    send({"of": number})
    return number**2


def process(send: Send) -> int:
    return os.getpid()


def total(shared: Shared, factor: float, send: Send) -> tuple[float, int]:
    """Use shared arrays, and tell where they lie, so that it is seen whether they came again."""
    return factor * float(shared.arrays["numbers"].sum()), id(shared.arrays["numbers"])


def fail(kind: str, send: Send) -> None:
    if kind == "user":
        raise UserError("choose another seed")
    if kind == "other bits":
        warnings.warn("it has other threads", OtherBitsWarning, stacklevel=1)
    if kind == "bug":
        raise ZeroDivisionError
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def play_for_ever(environment: EnvironmentDefinition) -> None:
    time.sleep(600)


def die_at_first(folder: str, times: int, send: Send) -> str:
    """Die as often as there is no note of it in a folder."""
    notes = Path(folder)
    tried = len(list(notes.iterdir()))
    (notes / str(tried)).touch()
    if tried < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def leave_slowly(path: str, send: Send) -> None:
    """Have the process write a file and wait when it has no more to do, as those do that clear much away."""

    def leave() -> None:
        Path(path).touch()
        time.sleep(600)

    Finalize(None, leave, exitpriority=0)


def write_slowly(path: str, send: Send) -> None:
    with atomic_write(Path(path)) as temporary:
        temporary.write_text("half of it")
        send("writing")
        time.sleep(600)


def wait_for_ever(path: str, send: Send) -> None:
    """Note the process, and never speak again."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)


def surroundings(send: Send) -> dict[str, Any]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return {"cores": available_cores(), **{name: os.environ.get(name) for name in names}}


def numbers(seed: int) -> Shared:
    return Shared({"numbers": np.random.default_rng(seed).random(1000)})


def note_and_wait(path: str, shared: Shared, send: Send) -> float:
    """Note the process, tell of it, and take long enough to be killed meanwhile the first time."""
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")
    send(os.getpid())
    if path.endswith("/0") and len(Path(path).read_text().split()) == 1:
        time.sleep(600)
    return float(shared.arrays["numbers"].sum())
