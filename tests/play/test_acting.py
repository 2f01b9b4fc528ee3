from __future__ import annotations

import os
import traceback

import pytest

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.errors import MissingError, NotInstalledError
from quantilizers.play.acting import another_process

CAR = load_environment("MountainCar-v0")


def where(environment: EnvironmentDefinition) -> tuple[str, int]:
    return environment.name, os.getpid()


def fail(environment: EnvironmentDefinition, kind: str) -> None:
    if kind == "missing":
        raise MissingError("it is not there")
    if kind == "library":
        raise NotInstalledError("it needs a library", "h5py")
    if kind == "bug":
        raise ZeroDivisionError
    os._exit(7)


def test_calls_are_done_in_one_other_process_which_ends_with_the_last() -> None:
    with another_process() as call:
        first, second = call(where, CAR), call(where, CAR)
    assert first == second
    assert first[0] == CAR.name
    assert first[1] != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(first[1], 0)


def test_without_a_call_no_process_is_started() -> None:
    with another_process():
        pass


def test_what_a_function_raises_is_raised_here_with_where_it_was() -> None:
    with another_process() as call:
        with pytest.raises(MissingError, match="it is not there"):
            call(fail, CAR, "missing")
        with pytest.raises(NotInstalledError) as missing:
            call(fail, CAR, "library")
        assert missing.value.module == "h5py"
        with pytest.raises(ZeroDivisionError) as bug:
            call(fail, CAR, "bug")
        assert "in fail" in "".join(traceback.format_exception(bug.value))
        assert call(where, CAR)[0] == CAR.name, "and goes on"


def test_the_death_of_the_process_is_reported() -> None:
    with pytest.raises(RuntimeError, match="died with exit code 7"), another_process() as call:
        call(fail, CAR, "dies")
