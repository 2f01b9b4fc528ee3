from __future__ import annotations

import pickle

import numpy as np
import pytest
from units_for_tests import fail, numbers, square, total

from quantilizers.errors import UserError
from quantilizers.execution import units
from quantilizers.execution.units import (
    Reference,
    SendNowAndThen,
    Shared,
    UnfinishedError,
    WorkUnit,
    perform,
    unheard,
    unpacked,
)


def test_shared_arrays_are_known_by_what_they_hold() -> None:
    assert numbers(0).identity == numbers(0).identity != numbers(1).identity
    array = np.arange(6)
    others = [{"a": array}, {"b": array}, {"a": array.reshape(2, 3)}, {"a": array.astype(np.int32)}, {"a": array[::-1]}]
    assert len({Shared(arrays).identity for arrays in others}) == len(others)
    assert Shared({"a": array[::2]}).identity == Shared({"a": array[::2].copy()}).identity
    assert Shared({"a": array, "b": array}).nbytes == 2 * array.nbytes


def test_what_is_shared_travels_as_a_reference() -> None:
    shared = numbers(0)
    unit = WorkUnit("sum", total, (shared, 2.0))
    assert unit.packed() == (Reference(shared.identity), 2.0)
    assert unit.shared == {shared.identity: shared}
    assert len(pickle.dumps(unit.packed())) < 300
    assert unpacked(unit.packed(), unit.shared) == (shared, 2.0)


def test_work_ends_in_one_of_three_ways_and_not_with_other_bits() -> None:
    messages: list[object] = []
    assert perform(square, [7], messages.append) == ("done", 49)
    assert messages == [{"of": 7}]
    assert perform(fail, ["user"], messages.append) == ("refused", "choose another seed")
    assert perform(fail, ["other bits"], messages.append) == ("refused", "it has other threads")
    kind, text = perform(fail, ["bug"], messages.append)
    assert kind == "bug"
    assert text.rstrip().endswith("ZeroDivisionError")
    unheard(0, "anything")


def test_units_that_came_to_nothing_are_named_in_one_line() -> None:
    reasons = {**{f"stack {number}": "no memory" for number in range(5)}, "seed 3": "no such seed"}
    error = UnfinishedError(reasons, 9)
    assert str(error) == (
        "6 of 9 units of work came to nothing: stack 0, stack 1, stack 2 and 2 more: no memory; seed 3: no such seed. "
        "The others are done"
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
    monkeypatch.setattr(units.time, "monotonic", lambda: next(clock))
    sent: list[int] = []
    send = SendNowAndThen(sent.append)
    for step in range(4):
        send(step)
    assert sent == [0, 2], "at 0, 0.3, 0.6 and 1 seconds"
