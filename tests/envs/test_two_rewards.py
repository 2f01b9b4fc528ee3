from __future__ import annotations

import random
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment, make_vector
from quantilizers.envs.registry import load_environment
from quantilizers.errors import DataWarning, UserError
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
            assert info[f"{kind}_return"] == pytest.approx(returns[kind])


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


def test_infos_of_the_vectorised_form_are_those_of_gymnasium_s() -> None:
    """Both returns so far, and one structure after each reset and step."""
    own_form = make_vector(load_environment("MountainCar-v0"), 2, max_steps=5)
    gymnasiums = make_vector(replace(load_environment("MountainCar-v0"), vector=None), 2, max_steps=5)
    total = np.zeros(2)
    outcomes = [cars.reset(seed=[0, 1])[1] for cars in (own_form, gymnasiums)]  # type: ignore[arg-type]
    for step in range(7):
        assert sorted(outcomes[0]) == sorted(outcomes[1])
        for name, values in outcomes[0].items():
            np.testing.assert_allclose(values, outcomes[1][name], atol=1e-6, err_msg=f"{name}, step {step}")
        np.testing.assert_allclose(outcomes[0]["proxy_return"], total)
        assert outcomes[0]["true_return"].tolist() == [-step * 1.0 if step < 6 else 0.0] * 2
        _, proxy, *_, first = own_form.step(np.array([0, 2]))
        outcomes = [first, gymnasiums.step(np.array([0, 2]))[-1]]
        total = (total + proxy) if step < 5 else np.zeros(2)


class Talkative(gymnasium.Env[Any, Any]):
    """Its infos differ from step to step, as those of many environments do."""

    observation_space = gymnasium.spaces.Box(-10, 10, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, render_mode: str | None = None, size: float = 1.0) -> None:
        self.render_mode, self.size = render_mode, size

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return np.array([self.np_random.uniform(-1, 1)], np.float32), {"level": 3, "map": {"a": 1}, "once": 7}

    def step(self, action: Any) -> Any:
        self.time += 1
        visited = np.zeros(self.time)
        info = {"level": 3 + self.time, "visited": visited, "pair": [self.time, action], "text": None}
        return np.array([self.size], np.float32), -1.0, self.time == 3, False, info


TALKATIVE = EnvironmentDefinition(
    Talkative,
    proxy=each_step(lambda steps: steps.info["pair"][:, 1], info=("pair",)),
    max_steps=5,
    options={"size": 1.0},
)


@pytest.mark.parametrize("identifier", [None, "MountainCar-v0", "Hopper-v2"])
def test_all_infos_have_one_structure(identifier: str | None) -> None:
    """After a reset, too; arrays of another length in each step, which vectorised environments cannot join, are not."""
    definition = load_environment(identifier) if identifier else TALKATIVE
    game = make_environment(definition, max_steps=3)
    infos = []
    for _ in range(2):
        infos.append(game.reset(seed=0)[1])
        infos += [game.step(game.action_space.sample())[-1] for _ in range(3)]
    assert len({tuple(info) for info in infos}) == 1
    assert all(
        infos[place][f"{kind}_re{sums}"] == 0
        for place in (0, 4)
        for kind in ("proxy", "true")
        for sums in ("ward", "turn")
    )
    vector = make_vector(definition, 2)
    vector.reset(seed=0)
    for _ in range(8):
        vector.step(vector.action_space.sample())
    if identifier is None:
        assert [info["level"] for info in infos[:4]] == [3, 4, 5, 6]
        assert infos[1]["once"] == 7
        assert infos[4]["pair"].shape == infos[3]["pair"].shape == (2,)
        assert "visited" not in infos[1]
        game = make_environment(definition, all_info=True)
        game.reset(seed=0)
        assert len(game.step(1)[-1]["visited"]) == 1
        assert gymnasium.make(game.spec).get_wrapper_attr("_all_info")


def _paid(game: gymnasium.Env[Any, Any], steps: int = 4) -> list[float]:
    game.reset(seed=5)
    game.action_space.seed(0)
    return [float(game.step(game.action_space.sample())[1]) for _ in range(steps)]


FILE = """
import gymnasium, numpy as np
from quantilizers import EnvironmentDefinition, each_step, own
ENVIRONMENT = EnvironmentDefinition(
    "CartPole-v1", proxy=lambda weight: own + weight * each_step(lambda steps: steps.observations[:, 1]),
    max_steps=30, options={"weight": 2.0}, name="a pole, hürried",
)
"""


@pytest.mark.parametrize("reward", ["proxy", "true"])
@pytest.mark.parametrize("source", ["MountainCar-v0", "Hopper-v2", "file", "memory", "id", "registered by a user"])
def test_made_again_from_its_spec_an_environment_is_the_same(source: str, reward: Any, tmp_path: Path) -> None:
    written = source not in ("memory", "registered by a user")
    if source == "file":
        (tmp_path / "pole.py").write_text(FILE)
        definition = load_environment(f"{tmp_path / 'pole.py'}:ENVIRONMENT")
        game: gymnasium.Env[Any, Any] = make_environment(definition, reward=reward, max_steps=3, weight=np.float64(7.0))
    elif source == "id":
        game = gymnasium.make("quantilizers/MountainCarRR-v0", reward=reward, max_steps=3)
    elif source == "memory":
        game = make_environment(TALKATIVE, reward=reward, size=2.0, max_steps=3)
    elif source == "registered by a user":
        gymnasium.registry.pop("mine/Talkative-v3", None)
        gymnasium.register("mine/Talkative-v3", lambda **given: make_environment(TALKATIVE, **given))
        game = gymnasium.make("mine/Talkative-v3", reward=reward, max_steps=3)
    else:
        game = make_environment(load_environment(source), reward=reward, max_steps=3)
    assert game.spec is not None
    assert game.spec.kwargs["reward"] == reward
    again = [gymnasium.make(game.spec)]
    if written:
        again.append(gymnasium.make(EnvSpec.from_json(game.spec.to_json())))
    else:
        with pytest.raises((ValueError, TypeError)):  # it contains functions
            game.spec.to_json()
    for other in again:
        assert other.spec is not None
        assert other.spec.kwargs == game.spec.kwargs
        assert other.get_wrapper_attr("max_steps") == 3
        assert _paid(other, 3) == _paid(game, 3)
    flat = gymnasium.make(gymnasium.wrappers.FlattenObservation(game).spec)
    assert [one.name for one in flat.spec.additional_wrappers] == ["FlattenObservation"]  # type: ignore[union-attr]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("identifier", ["quantilizers/MountainCarRR-v0", "quantilizers/HopperRR-v0"])
def test_gymnasium_s_checker_accepts_the_registered_environments(identifier: str) -> None:
    check_env(gymnasium.make(identifier), skip_render_check=True)
    many = gymnasium.make_vec(identifier, num_envs=3, reward="true")
    assert gymnasium.make_vec(EnvSpec.from_json(many.spec.to_json())).num_envs == 3  # type: ignore[union-attr]


def test_a_definition_that_was_changed_has_no_address_for_specs() -> None:
    """Its address loads the definition before the change, which would pay other rewards."""
    changed = replace(load_environment("MountainCar-v0"), proxy=own)
    game = make_environment(changed)
    assert _paid(gymnasium.make(game.spec)) == [-1.0] * 4
    with pytest.raises(TypeError):
        game.spec.to_json()  # type: ignore[union-attr]


def test_what_cannot_be_made_is_said_in_one_line() -> None:
    broken = EnvironmentDefinition("NoSuchThing-v7", own, 10)
    with pytest.raises(UserError, match=r"NoSuchThing-v7 cannot be made: .*") as raised:
        make_environment(broken)
    assert "\n" not in str(raised.value)
    missing = EnvironmentDefinition("not_installed_here:Game", own, 10)
    with pytest.raises(UserError, match="not_installed_here, which is not installed"):
        make_environment(missing)


class Careless(Talkative):
    """It draws from a global generator in some steps."""

    source: Any = None

    def step(self, action: Any) -> Any:
        if self.time == 2:
            type(self).source()
        return super().step(action)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (np.random.rand, "numpy.random"),
        (lambda: np.random.default_rng(0).random(), ""),
        (random.random, "Python's random"),
        (lambda: np.random.seed(3), "numpy.random"),
    ],
)
def test_an_environment_that_draws_from_a_global_generator_is_named_once(source: Any, name: str) -> None:
    kind = type("Careless", (Careless,), {"source": staticmethod(source)})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(2):
            game = make_environment(EnvironmentDefinition(kind, own, 5))
            for seed in (0, 1):
                game.reset(seed=seed)
                for _ in range(3):
                    random.random()  # a user's own draws are none of the environment's
                    game.step(1)
    lines = [str(one.message) for one in said if issubclass(one.category, DataWarning)]
    assert len(lines) == bool(name)
    assert not name or f"Careless uses the global generator of {name}" in lines[0]


@pytest.mark.parametrize("seed", [True, np.True_, 1.0, 1.5, "1", -1, np.int64(-3), [1]], ids=repr)
def test_reset_seeds_are_whole_numbers(seed: Any) -> None:
    games = [make_environment(TALKATIVE), make_vector(load_environment("MountainCar-v0"), 1)]
    for game in games[: 1 if isinstance(seed, list) else 2]:
        with pytest.raises(UserError, match=r"the reset seed is .*; give a whole number from 0 on"):
            game.reset(seed=seed)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="the reset seed is"):
        games[1].reset(seed=[seed])  # type: ignore[list-item]


def test_numpy_s_whole_numbers_are_reset_seeds() -> None:
    game = make_environment(TALKATIVE)
    wanted = game.reset(seed=3)[0]
    for seed in (np.int64(3), np.uint8(3), np.array(3)):
        np.testing.assert_array_equal(game.reset(seed=seed)[0], wanted)  # type: ignore[arg-type]
    cars = make_vector(load_environment("MountainCar-v0"), 2)
    wanted = cars.reset(seed=[3, 4])[0]  # type: ignore[arg-type]
    np.testing.assert_array_equal(cars.reset(seed=np.array([3, 4]))[0], wanted)  # type: ignore[arg-type]
