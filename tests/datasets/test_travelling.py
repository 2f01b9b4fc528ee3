from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.travelling import demonstrations_of, shared_demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.registry import address_of
from quantilizers.policies.policy import fingerprint


def test_demonstrations_arrive_as_they_left(human: Demonstrations) -> None:
    shared, address = shared_demonstrations(human), address_of(human.environment)
    arrived = demonstrations_of(shared, address)
    assert fingerprint(arrived) == fingerprint(human)
    assert set(arrived.episodes.extras) == set(human.episodes.extras)
    np.testing.assert_array_equal(arrived.proxy_returns, human.proxy_returns)
    assert demonstrations_of(shared_demonstrations(human), address) is arrived, "the latest are made once"
    assert demonstrations_of(shared_demonstrations(human.top(0.5)), address).number == human.number // 2


def test_observations_that_can_be_made_anew_do_not_travel(human: Demonstrations) -> None:
    made: list[int] = []

    def replay(episodes: Episodes) -> np.ndarray:
        made.append(episodes.number)
        return human.episodes.observations

    environment = replace(human.environment, replay_observations=replay)
    shared = shared_demonstrations(replace(human, environment=environment))
    assert shared.arrays["obs"].nbytes == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("quantilizers.datasets.travelling.environment_at", lambda _: environment)
        arrived = [demonstrations_of(shared, address_of(human.environment)) for _ in range(2)]
    assert made == [human.number]
    np.testing.assert_array_equal(arrived[1].episodes.observations, human.episodes.observations)
