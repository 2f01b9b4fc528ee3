from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment, make_vector
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.rewards import each_step, mean_at_end, own

POLE = EnvironmentDefinition(
    make="CartPole-v1",
    proxy=each_step(lambda steps: steps.observations[:, 2]),
    true=own - 5 * mean_at_end(lambda steps: np.abs(steps.observations[:, 0])),
    max_steps=15,
)


def test_a_definition_of_three_fields_pays_both_rewards() -> None:
    plain, game = gymnasium.make("CartPole-v1"), make_environment(POLE)
    plain.reset(seed=4)
    game.reset(seed=4)
    places, returns = [], {"proxy": 0.0, "true": 0.0}
    last = False
    while not last:
        action = len(places) % 2
        observation, reward, *_ = plain.step(action)
        same, proxy, terminated, truncated, info = game.step(action)
        last = terminated or truncated
        np.testing.assert_array_equal(same, observation)
        places.append(abs(float(observation[0])))
        assert proxy == info["proxy_reward"] == float(observation[2])
        assert info["true_reward"] == pytest.approx(float(reward) - (5 * np.mean(places) if last else 0.0))
        for kind in returns:
            returns[kind] += info[f"{kind}_reward"]
            assert (f"{kind}_return" in info) == last
    assert {kind: info[f"{kind}_return"] for kind in returns} == pytest.approx(returns)


@pytest.mark.parametrize("max_steps", [1, 3, None])
def test_the_horizon_cuts_and_pays_what_is_due(max_steps: int | None) -> None:
    game = make_environment(POLE, max_steps=max_steps)
    game.reset(seed=0)
    steps, last = 0, False
    while not last:
        steps += 1
        *_, terminated, truncated, info = game.step(steps % 2)
        last = terminated or truncated
    assert steps == (max_steps or 15)
    assert truncated
    assert info["true_reward"] < 1


def test_the_rewards_can_be_swapped() -> None:
    for name, vector in (("Hopper-v2", False), ("Hopper-v2", True), ("MountainCar-v0", True)):
        identifier = load_environment(name).gymnasium_id
        paid = {}
        for reward in ("proxy", "true"):
            if vector:
                games = gymnasium.make_vec(identifier, num_envs=2, max_steps=20, reward=reward)
                games.reset(seed=0)
                paid[reward] = [games.step(np.zeros_like(games.action_space.sample()))[1].tolist() for _ in range(20)]
            else:
                game = gymnasium.make(identifier, max_steps=20, reward=reward)
                game.reset(seed=0)
                paid[reward] = [float(game.step(np.zeros(3, np.float32))[1]) for _ in range(20)]
        assert paid["proxy"] != paid["true"]
    with pytest.raises(ValueError, match="neither"):
        make_environment(POLE, reward="both")  # type: ignore[arg-type]


def test_side_by_side_is_the_same_as_alone() -> None:
    """Environments without a vectorised form use Gymnasium's."""
    actions = np.random.default_rng(0).integers(2, size=(120, 3))
    together = make_vector(POLE, 3)
    alone = [make_environment(POLE) for _ in range(3)]
    observations, _ = together.reset(seed=[5, 6, 7])
    for game, seed, observation in zip(alone, (5, 6, 7), observations, strict=True):
        np.testing.assert_array_equal(game.reset(seed=seed)[0], observation)
    ended = [False] * 3
    for step in actions:
        observations, proxy, terminated, truncated, info = together.step(step)
        for index, game in enumerate(alone):
            if ended[index]:
                game.reset()
                ended[index] = False
                continue
            observation, own_proxy, end, cut, about = game.step(step[index])
            np.testing.assert_array_equal(observation, observations[index])
            assert (proxy[index], terminated[index], truncated[index]) == (own_proxy, end, cut)
            assert info["true_reward"][index] == about["true_reward"]
            ended[index] = end or cut


def test_the_last_steps_info_has_both_returns_in_the_vectorised_form() -> None:
    cars = make_vector(load_environment("MountainCar-v0"), 2, max_steps=5)
    cars.reset(seed=0)
    total = np.zeros(2)
    for step in range(5):
        _, proxy, _, _, info = cars.step(np.array([0, 2]))
        total += proxy
        assert ("true_return" in info) == (step == 4)
    assert info["true_return"].tolist() == [-5.0, -5.0]
    np.testing.assert_allclose(info["proxy_return"], total)


def test_what_cannot_be_made_is_said_in_one_line() -> None:
    broken = EnvironmentDefinition("NoSuchThing-v7", own, 10)
    with pytest.raises(UserError, match=r"NoSuchThing-v7 cannot be made: .*") as raised:
        make_environment(broken)
    assert "\n" not in str(raised.value)
    missing = EnvironmentDefinition("not_installed_here:Game", own, 10)
    with pytest.raises(UserError, match="not_installed_here, which is not installed"):
        make_environment(missing)
