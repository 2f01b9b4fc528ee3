"""Environments side by side, against stable-baselines3's own way to run several."""

from __future__ import annotations

from functools import partial
from typing import Any

import environments_for_tests
import numpy as np
import pytest
from gymnasium.spaces import Box
from sb3_for_tests import one_thread  # noqa: F401
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from quantilizers.envs.actions import environment_actions
from quantilizers.envs.making import make_environment
from quantilizers.envs.registry import load_environment
from quantilizers.optimisers.sb3_environments import SideBySide, counting_from_zero
from quantilizers.optimisers.sb3_models import ActingModel

SEEDS = [11, 12, 13]


def single(environment: Any, max_steps: int) -> Any:
    game = counting_from_zero(make_environment(environment, max_steps=max_steps))
    return Monitor(game, info_keywords=("true_return", "proxy_return"))


@pytest.mark.parametrize(
    ("name", "max_steps"),
    [
        ("Hopper-v2", 15),
        ("MountainCar-v0", 7),
        ("DISCRETE_FROM_TWO", 5),
        ("MULTI_DISCRETE_SQUARE", 20),
        ("BOX", 20),
        ("INTEGER_BOX", 20),
    ],
)
def test_steps_are_those_of_the_library_s_own_vectorised_environments(name: str, max_steps: int) -> None:
    """The last four have no vectorised form; hoppers fall at different times."""
    environment = getattr(environments_for_tests, name, None) or load_environment(name)
    # Those for tests draw what they show from one generator for all, in whatever order they are asked.
    shown = environment.vector is not None
    ours = SideBySide(environment, 3, max_steps)
    theirs = DummyVecEnv([partial(single, environment, max_steps)] * 3)
    for games in (ours, theirs):
        games._seeds = list(SEEDS)
    first = ours.reset(), theirs.reset()
    assert not shown or np.allclose(*first, rtol=1e-6)
    assert ours.action_space == theirs.action_space
    ours.action_space.seed(0)
    ended = 0
    for _ in range(40):
        actions = np.stack([ours.action_space.sample() for _ in range(3)])
        one, other = ours.step(actions), theirs.step(actions)
        for index in range(0 if shown else 1, 3):
            np.testing.assert_allclose(one[index], other[index], rtol=1e-6, err_msg=str(index))
        for told, expected in zip(one[3], other[3], strict=True):
            assert ("episode" in told) == ("episode" in expected)
            if "episode" in told:
                ended += 1
                if shown:
                    np.testing.assert_allclose(
                        told["terminal_observation"], expected["terminal_observation"], rtol=1e-6
                    )
                for key in ("r", "l", "proxy_return", "true_return"):
                    assert told["episode"][key] == pytest.approx(expected["episode"][key], abs=1e-5), key
            assert "TimeLimit.truncated" not in told, "nothing is to be estimated beyond a cut"
    assert ended >= 6
    ours.close()


def test_no_two_environments_of_any_two_seeds_start_alike() -> None:
    games = SideBySide(load_environment("MountainCar-v0"), 4, 10)
    starts = []
    for seed in (0, 1):
        games.seed(seed)
        starts.extend(games.reset()[:, 0].tolist())
    assert len(set(starts)) == 8
    games.seed(0)
    np.testing.assert_array_equal(games.reset()[:, 0], starts[:4])


def test_environments_are_not_changed_one_by_one() -> None:
    games = SideBySide(load_environment("MountainCar-v0"), 2, 10)
    with pytest.raises(NotImplementedError, match="max_steps"):
        games.set_attr("max_steps", 3)
    with pytest.raises(NotImplementedError, match="close"):
        games.env_method("close")
    assert games.get_attr("max_steps") == [10, 10]


def test_actions_in_a_box_of_whole_numbers_are_rounded_wherever_agents_act() -> None:
    """In training, alone and side by side, and while they are measured; the environment refuses others."""
    environment = environments_for_tests.INTEGER_BOX
    given = np.array([[-2.9, 1.6], [0.4, -0.6], [2.0, -3.0]], dtype=np.float32)
    wanted = [[-3, 2], [0, -1], [2, -3]]
    alone = counting_from_zero(make_environment(environment))
    assert alone.action_space == Box(-3, 2, (2,), np.float32)
    alone.reset(seed=0)
    assert [alone.step(action)[1] for action in given] == [np.mean(one) + 1 for one in wanted]
    ours = SideBySide(environment, 3, 8)
    ours.reset()
    assert ours.step(given)[1].tolist() == [np.mean(one) + 1 for one in wanted]

    class Model:
        action_space = alone.action_space

        def predict(self, observations: Any, deterministic: bool) -> Any:
            return given, None

    acting = ActingModel(Model(), environment.action_space)  # type: ignore[arg-type]
    chosen = acting.act(np.zeros((1, 3, 3)), [np.random.default_rng(0)], np.ones((1, 3), dtype=np.bool_))
    assert environment_actions(chosen, environment.action_space).tolist() == wanted
