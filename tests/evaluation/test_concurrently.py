from __future__ import annotations

from threading import Barrier, get_ident

import pytest

from quantilizers.evaluation.concurrently import Progress, each_done


@pytest.mark.parametrize("threads", [1, 2])
def test_every_part_is_done_and_every_step_is_told(threads: int) -> None:
    told: list[int] = []

    def work(part: int, on_step: Progress | None) -> None:
        for step in range(part):
            assert on_step is not None
            on_step(10 * part + step)

    assert sorted(each_done(work, [1, 2, 3], threads, told.append)) == [1, 2, 3]
    assert sorted(told) == [10, 20, 21, 30, 31, 32]


def test_parts_are_worked_on_at_the_same_time() -> None:
    meeting = Barrier(2, timeout=30)
    workers = set()

    def work(part: int, on_step: Progress | None) -> None:
        meeting.wait()
        workers.add(get_ident())

    assert sorted(each_done(work, [1, 2], 2, None)) == [1, 2]
    assert len(workers) == 2


def test_one_failure_stops_the_others_at_their_next_step() -> None:
    begun = Barrier(2, timeout=30)
    done = []

    def work(part: int, on_step: Progress | None) -> None:
        begun.wait()
        if part == 0:
            raise ZeroDivisionError("the first part fails")
        assert on_step is not None
        while True:
            on_step(1)

    with pytest.raises(ZeroDivisionError, match="the first part"):
        done += list(each_done(work, [0, 1, 2, 3], 2, None))
    assert done == []


def test_who_stops_asking_stops_the_work() -> None:
    begun = Barrier(2, timeout=30)

    def work(part: int, on_step: Progress | None) -> None:
        begun.wait()
        assert on_step is not None
        while part:
            on_step(1)

    parts = each_done(work, [0, 1], 2, None)
    assert next(parts) == 0
    with pytest.raises(KeyboardInterrupt):
        parts.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
