from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from tasks_for_tests import Task, fail, numbers, square, total

from quantilizers.errors import UserError
from quantilizers.execution import executor
from quantilizers.execution.executor import (
    InProcess,
    Send,
    SendNowAndThen,
    Shared,
    UnfinishedError,
    hold,
    packed,
    perform,
)


def test_shared_arrays_are_known_by_their_content() -> None:
    assert numbers(0).identity == numbers(0).identity != numbers(1).identity
    array = np.arange(6)
    others = [{"a": array}, {"b": array}, {"a": array.reshape(2, 3)}, {"a": array.astype(np.int32)}, {"a": array[::-1]}]
    assert len({Shared(arrays).identity for arrays in others}) == len(others)
    assert Shared({"a": array[::2]}).identity == Shared({"a": array[::2].copy()}).identity


def words_of(beginning: str, arrays: Any) -> list[str]:
    made.append(beginning)
    return [beginning, *arrays["words"].tolist()]


#: What `words_of` has made.
made: list[str] = []


def shared_words(*words: str) -> Shared[list[str]]:
    return Shared([words[0], *words[1:]], lambda value: {"words": np.array(value[1:])}, partial(words_of, words[0]))


def joined(job: Task, send: Send) -> str:
    return " ".join(job.value[0].value)


def test_a_shared_value_travels_as_arrays_and_is_made_of_them_once() -> None:
    first, second = shared_words("a", "b"), shared_words("b", "b")
    assert first.identity != second.identity, "how it is made of the arrays counts"
    assert next(InProcess().map(joined, [Task("here", (first,))]))[1] == "a b"
    made.clear()
    for shared in (first, first, second, first):
        # Wherever in the job it is.
        content, found = packed(joined, Task("there", (shared,)))
        assert found == {shared.identity: shared}
        assert len(content) < 300
        hold({identity: (value.arrays, value.unpacker) for identity, value in found.items()})
        assert perform(content, made.append) == ("done", " ".join(shared.value))
    assert made == ["a", "b", "a"], "only the latest is kept"


def test_a_job_that_cannot_travel_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"testing seed 3 cannot be sent to another process .*my_env.py:ENVIRONMENT"):
        packed(total, Task("testing seed 3", lambda: None))


def test_a_job_ends_in_one_of_three_ways_and_not_with_other_bits() -> None:
    messages: list[object] = []

    def ending(function: Callable[[Task, Send], Any], value: Any) -> Any:
        return perform(packed(function, Task("any", value))[0], messages.append)

    assert ending(square, 7) == ("done", 49)
    assert messages == [{"of": 7}]
    for how, message in (("user", "choose another seed"), ("other bits", "it has other threads")):
        kind, error = ending(fail, how)
        assert (kind, type(error), str(error)) == ("refused", UserError, message)
    kind, text = ending(fail, "bug")
    assert kind == "bug"
    assert text.rstrip().endswith("ZeroDivisionError")


@pytest.mark.parametrize("threads", [1, 2])
def test_this_process_does_every_job_and_passes_messages_on(threads: int) -> None:
    heard: list[tuple[str, int]] = []

    def work(job: Task, send: Send) -> str:
        for step in range(job.value):
            send(step)
        return f"done {job.name}"

    jobs = [Task(f"{n}", n) for n in (1, 2, 3)]
    done = InProcess(threads).map(work, iter(jobs), lambda job, message: heard.append((job.name, message)))
    assert {job.name: result for job, result in done} == {"1": "done 1", "2": "done 2", "3": "done 3"}
    assert sorted(heard) == [("1", 0), ("2", 0), ("2", 1), ("3", 0), ("3", 1), ("3", 2)]


def test_threads_run_jobs_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=30)

    def work(job: Task, send: Send) -> int:
        meeting.wait()
        return threading.get_ident()

    assert len({result for _, result in InProcess(2).map(work, [Task("1"), Task("2")])}) == 2


def test_one_failure_stops_the_other_threads_at_their_next_message() -> None:
    begun = threading.Barrier(2, timeout=30)

    def work(job: Task, send: Send) -> None:
        begun.wait()
        if job.value == 0:
            raise ZeroDivisionError("the first job fails")
        while True:
            send(1)

    with pytest.raises(ZeroDivisionError, match="the first job"):
        list(InProcess(2).map(work, [Task(f"{n}", n) for n in range(4)]))


def test_a_caller_that_stops_asking_stops_the_threads() -> None:
    begun = threading.Barrier(2, timeout=30)

    def work(job: Task, send: Send) -> None:
        if job.value < 2:
            begun.wait()
        while job.value:
            send(1)

    done = InProcess(2).map(work, [Task("0", 0), Task("1", 1)])
    assert next(done)[0].name == "0"
    with pytest.raises(KeyboardInterrupt):
        done.throw(KeyboardInterrupt)  # type: ignore[attr-defined]


def test_failed_jobs_are_named_in_one_line() -> None:
    reasons = {**{f"stack {number}": "no memory" for number in range(5)}, "seed 3": "no such seed"}
    error = UnfinishedError(reasons, 9)
    assert str(error) == (
        "6 of 9 jobs failed: stack 0, stack 1, stack 2 and 2 more: no memory; seed 3: no such seed. The others are done"
    )
    assert isinstance(error, UserError)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - as it comes out of another process
    assert (str(again), again.reasons) == (str(error), reasons)
    assert "others" not in str(UnfinishedError({"it": "is wrong"}, 1))


@pytest.mark.parametrize("number", [4, 7])
def test_only_so_many_reasons_are_told(number: int) -> None:
    assert f"and {number - 3} more reasons" in str(UnfinishedError({str(n): f"reason {n}" for n in range(number)}, 9))


def test_what_comes_too_soon_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 0.3, 0.6, 0.6, 1.0])
    monkeypatch.setattr(executor.time, "monotonic", lambda: next(clock))
    sent: list[int] = []
    send = SendNowAndThen(sent.append)
    for step in range(4):
        send(step)
    assert sent == [0, 2], "at 0, 0.3, 0.6 and 1 seconds"
