"""A person at the keyboard, simulated: key events in pygame's own queue, one turn a displayed picture."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pygame

Script = Iterator[None]
Outcome = tuple[int, str, str]


class ScriptedClock:
    """Takes the place of pygame's clock: instead of waiting, it lets the simulated person press keys."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.pictures = 0

    def tick(self, frames_per_second: float) -> int:
        assert frames_per_second > 0
        self.pictures += 1
        assert self.pictures < 5000, "the script ended and the program did not"
        try:
            next(self.script)
        except StopIteration:
            press(pygame.K_ESCAPE)
        return 0


def press(*keys: int) -> None:
    for key in keys:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))


def release(*keys: int) -> None:
    for key in keys:
        pygame.event.post(pygame.event.Event(pygame.KEYUP, key=key))


def tap(*keys: int) -> None:
    press(*keys)
    release(*keys)


def wait(pictures: int) -> Script:
    for _ in range(pictures):
        yield


def run_scripted(program: str, script: Script, words: Sequence[str], log: Path) -> Outcome:
    """Run a program of play/ while the script presses keys; give its exit code, standard output and error."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch("pygame.time.Clock", return_value=ScriptedClock(script)),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = importlib.import_module(f"quantilizers.commands.{program}").main([*words, "--log_dir", str(log)])
    return code, out.getvalue(), err.getvalue()


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a module in a fresh process.

    MuJoCo's pictures are drawn there: OpenGL on the processor and TensorFlow, which other tests have loaded, crash
    in one process.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}
