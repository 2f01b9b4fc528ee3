from __future__ import annotations

from typing import Any

import numpy as np

from quantilizers.evaluation.running_episodes import RunningEpisodes


class Scripted:
    """Three environments that pay their number times ten, plus the step, for ever; notes who is retired."""

    num_envs = 3

    def __init__(self, retires: bool) -> None:
        self.unwrapped: Any = self
        self.retired: list[list[bool]] = []
        if retires:
            self.retire = lambda who: self.retired.append(who.tolist())

    def step(self, number: int, ends: list[int], cut: list[int]) -> tuple[Any, Any, Any, Any]:
        proxy = np.arange(3) * 10.0 + number
        return proxy, np.isin(np.arange(3), ends), np.isin(np.arange(3), cut), {"true_reward": -proxy}


def play(vector: Any, running: np.ndarray | None = None) -> RunningEpisodes:
    """The first environment ends at its second step, the last is cut at its third, the other at its fourth."""
    episodes = RunningEpisodes(vector, 4, running)
    episodes.record(*vector.step(1, [], []))
    episodes.record(*vector.step(2, [0], []))
    # What starts anew may end again, which is nobody's business.
    episodes.record(*vector.step(3, [0], [2]))
    episodes.record(*vector.step(4, [0], [1, 2]))
    return episodes


def test_rewards_count_until_an_episode_ends() -> None:
    for retires in (True, False):
        episodes = play(Scripted(retires))
        proxy = [[1, 2, 0, 0], [11, 12, 13, 14], [21, 22, 23, 0]]
        np.testing.assert_array_equal(episodes.proxy_rewards, proxy)
        np.testing.assert_array_equal(episodes.true_rewards, -np.array(proxy))
        np.testing.assert_array_equal(episodes.lengths, [2, 4, 3])
        assert not episodes.running.any()


def test_who_has_ended_is_retired_once_but_not_after_the_last_step() -> None:
    vector = Scripted(retires=True)
    play(vector)
    assert vector.retired == [[True, False, False], [False, False, True]]


def test_an_episode_that_nobody_wants_is_retired_at_once_and_not_counted() -> None:
    vector, wanted = Scripted(retires=True), np.array([True, False, True])
    episodes = play(vector, wanted)
    assert vector.retired == [[False, True, False], [True, False, False]]
    np.testing.assert_array_equal(episodes.lengths, [2, 0, 3])
    assert not episodes.proxy_rewards[1].any()
    assert wanted.tolist() == [True, False, True], "the caller's own array is left alone"
