from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import environments_for_tests
import numpy as np
import numpy.typing as npt
import pytest
import torch
from gymnasium import spaces
from jobs_for_tests import small_job
from sb3_for_tests import one_thread  # noqa: F401
from stable_baselines3 import PPO

from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.evaluation.results import load_results
from quantilizers.optimisers import sb3_models
from quantilizers.optimisers.measurements import measure_agent
from quantilizers.optimisers.sb3_models import (
    ActingModel,
    ScaledToBounds,
    as_measured,
    make_model,
    restore_state,
    state_arrays,
)

CAR = load_environment("MountainCar-v0")


def model_of(folder: Path, name: str, **changes: Any) -> Any:
    environment = getattr(environments_for_tests, name)
    return make_model(small_job(folder, environment_name=name, max_steps=8, **changes), environment, 0)


def test_both_returns_of_each_episode_are_reported(tmp_path: Path) -> None:
    model = make_model(small_job(tmp_path, max_steps=7), CAR, 0)
    game = model.get_env()
    for episode in range(2):
        game.seed(episode)
        game.reset()
        proxy, infos = [], []
        for _ in range(7):
            _, rewards, _, info = game.step(np.array([2]))
            proxy.append(float(rewards[0]))
            infos.append(info[0])
        assert ["episode" in info for info in infos] == [False] * 6 + [True]
        told = infos[-1]["episode"]
        assert (told["proxy_return"], told["true_return"]) == (pytest.approx(sum(proxy)), -7.0)


@pytest.mark.parametrize(
    "name",
    ["DISCRETE_FROM_TWO", "MULTI_DISCRETE", "MULTI_DISCRETE_SQUARE", "MULTI_BINARY", "MULTI_BINARY_SQUARE", "BOX",
     "BOX_SQUARE"],
)  # fmt: skip
def test_ppo_plays_with_every_kind_of_action(tmp_path: Path, name: str) -> None:
    """The environment itself refuses actions that are not its own."""
    model = model_of(tmp_path, name, algorithm="ppo")
    model.n_steps = model.rollout_buffer.buffer_size = 64
    model.rollout_buffer.reset()
    model.learn(64)
    assert model.num_timesteps == 64


@pytest.mark.parametrize("name", ["DISCRETE_FROM_TWO", "MULTI_DISCRETE_SQUARE", "MULTI_BINARY_SQUARE", "BOX_SQUARE"])
def test_the_long_ppo_plays_with_every_kind_of_action_in_as_few_steps_as_are_wanted(tmp_path: Path, name: str) -> None:
    model = model_of(tmp_path, name, algorithm="ppo_long", steps=96)
    model.learn(96)
    assert (model.num_timesteps, model.n_envs, model.n_steps, model.batch_size) == (128, 32, 2, 64)


def test_the_long_ppo_hardly_discounts_and_takes_games_as_is_usual(tmp_path: Path) -> None:
    vectors = model_of(tmp_path, "DISCRETE", algorithm="ppo_long", steps=10**6)
    assert (vectors.n_envs, vectors.n_steps, vectors.gamma, vectors.ent_coef) == (32, 128, 0.9999, 0.05)
    assert vectors.get_vec_normalize_env().gamma == 0.9999
    assert model_of(tmp_path, "BOX", algorithm="ppo_long").ent_coef == 0
    games = model_of(tmp_path, "PICTURES", algorithm="ppo_long", steps=10**5)
    assert (games.n_envs, games.n_steps, games.gamma, games.ent_coef, games.n_epochs) == (16, 128, 0.99, 0.01, 4)
    assert [games.clip_range(left) for left in (1.0, 0.5, 0.0)] == [0.1, 0.05, 0.0]


def test_bounded_observations_are_scaled_to_one_and_others_left_alone() -> None:
    space = spaces.Box(
        np.array([-1.2, -np.inf, 3.0, 2.0], dtype=np.float32), np.array([0.6, 1.0, 3.0, 6.0], dtype=np.float32)
    )
    scaled = ScaledToBounds(space)(torch.tensor([[-1.2, 7.0, 3.0, 6.0], [0.6, -7.0, 3.0, 4.0]]))
    np.testing.assert_allclose(scaled, [[-1, 7, 3, 1], [1, -7, 3, 0]], atol=1e-6)


@pytest.mark.parametrize("algorithm", ["ppo", "ppo_long", "qr_dqn"])
@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("PICTURES", "CnnPolicy"),
        ("SMALL_PICTURES", "MlpPolicy"),
        ("GREY_PICTURES", "MlpPolicy"),
        ("MATRICES", "MlpPolicy"),
        ("ENDLESS_OBSERVATIONS", "MlpPolicy"),
    ],
)
def test_only_pictures_large_enough_are_convolved(tmp_path: Path, algorithm: str, name: str, network: str) -> None:
    model = model_of(tmp_path, name, algorithm=algorithm)
    convolved = any(type(module).__name__ == "Conv2d" for module in model.policy.modules())
    assert convolved == (network == "CnnPolicy")
    observation = getattr(environments_for_tests, name).observation_space.sample()
    assert model.predict(observation[None], deterministic=True)[0].shape == (1,)


def test_memory_is_bounded_in_steps_and_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def remembered(steps: int) -> int:
        model = model_of(tmp_path, "PICTURES", steps=steps)
        return int(model.replay_buffer.buffer_size)

    monkeypatch.setattr(sb3_models, "REMEMBERED_STEPS", 200)
    assert (remembered(100), remembered(300)) == (100, 200)
    monkeypatch.setattr(sb3_models, "REMEMBERED_BYTES", 150 * 40 * 48 * 3)
    assert remembered(300) == 150


@pytest.mark.parametrize(("algorithm", "name"), [("qr_dqn", "BOX"), ("ppo", "ENDLESS_BOX"), ("ppo", "TUPLE")])
def test_what_does_not_suit_is_refused_at_once(tmp_path: Path, algorithm: str, name: str) -> None:
    with pytest.raises(UserError, match=name):
        model_of(tmp_path, name, algorithm=algorithm)


def test_exploring_while_measured_draws_from_all_actions(tmp_path: Path) -> None:
    model = make_model(small_job(tmp_path), CAR, 0)
    observations, running = np.zeros((1, 3000, 2), dtype=np.float32), np.ones((1, 3000), dtype=np.bool_)
    greedy = ActingModel(model, CAR.action_space).act(observations, [np.random.default_rng(0)], running)
    assert greedy.shape == (1, 3000, 1)
    assert len(np.unique(greedy)) == 1
    explorer = ActingModel(model, CAR.action_space, exploration=0.3)
    exploring = explorer.act(observations, [np.random.default_rng(0)], running)
    other = (exploring != greedy).mean()
    assert 0.17 < other < 0.23, "two thirds of three tenths"
    assert set(np.unique(exploring)) == {0, 1, 2}


def test_ppo_draws_actions_where_quantilizers_do(tmp_path: Path) -> None:
    job = small_job(tmp_path, algorithm="ppo")
    model = make_model(job, CAR, 0)
    observations, running = np.zeros((1, 3000, 2), dtype=np.float32), np.ones((1, 3000), dtype=np.bool_)

    def actions(acting: str, seed: int) -> npt.NDArray[np.int64]:
        environment = replace(CAR, experiment=replace(CAR.experiment, acting=acting))
        return as_measured(job, environment, model).act(observations, [np.random.default_rng(seed)], running)

    assert len(np.unique(actions("most_probable", 0))) == 1
    drawn = actions("sample", 0)
    (distribution,) = model.policy.get_distribution(torch.zeros(1, 2)).distribution.probs.tolist()
    np.testing.assert_allclose(np.bincount(drawn.ravel()) / 3000, distribution, atol=0.04)
    np.testing.assert_array_equal(drawn, actions("sample", 0))
    assert (drawn != actions("sample", 1)).any()


def test_actions_of_ended_episodes_are_not_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hopper = load_environment("Hopper-v2")
    model = make_model(small_job(tmp_path, algorithm="ppo", environment="Hopper-v2"), hopper, 0)
    seen: list[int] = []
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda rows, **words: seen.append(len(rows)) or predict(rows, **words))
    running = np.array([[True, False, True]])
    acting = ActingModel(model, hopper.action_space)
    actions = acting.act(np.ones((1, 3, 11)), [np.random.default_rng(0)], running)
    assert (actions.shape, seen) == ((1, 3, 3), [2])
    np.testing.assert_allclose(actions[0, 0], actions[0, 2], rtol=1e-4)
    assert not actions[0, 1].any()


@pytest.mark.parametrize(
    ("name", "algorithm", "components"),
    [
        ("DISCRETE_FROM_TWO", "qr_dqn", 1),
        ("DISCRETE_FROM_TWO", "ppo", 1),
        ("MULTI_DISCRETE", "ppo", 2),
        ("MULTI_DISCRETE_SQUARE", "ppo", 4),
        ("MULTI_BINARY", "ppo", 4),
        ("MULTI_BINARY_SQUARE", "ppo", 4),
        ("BOX", "ppo", 2),
        ("BOX_SQUARE", "ppo", 4),
        ("INTEGER_BOX", "ppo", 2),
        ("PICTURES", "qr_dqn", 1),
    ],
)
def test_agents_of_every_kind_of_action_are_measured(
    tmp_path: Path, name: str, algorithm: str, components: int
) -> None:
    """Actions are numbered as files number them, and the environment itself refuses those that are not its own."""
    environment = getattr(environments_for_tests, name)
    one = small_job(tmp_path, algorithm=algorithm, environment_name=name, max_steps=8, number_trajectories=5)
    one.agent.write_bytes(b"an agent")
    model = make_model(one, environment, 0)
    observations = np.stack([environment.observation_space.sample() for _ in range(6)])[None]
    acting = ActingModel(model, environment.action_space, exploration=0.5 if algorithm == "qr_dqn" else 0.0)
    actions = acting.act(observations, [np.random.default_rng(0)], np.ones((1, 6), dtype=np.bool_))
    assert actions.shape == (1, 6, components)
    classes = environment.action_classes
    for component, values in enumerate(classes or ()):
        assert set(actions[..., component].ravel()) <= set(values)
    measure_agent(one, environment, as_measured(one, environment, model), 0, lambda progress: None)
    results = load_results(one.rewards)
    assert results.environment == name
    assert results.lengths.tolist() == [[8] * 5]
    np.testing.assert_allclose(results.proxy_returns, results.true_returns + 8, rtol=1e-6)


@pytest.mark.parametrize("algorithm", ["ppo", "qr_dqn"])
def test_a_learner_has_its_whole_state_back(tmp_path: Path, algorithm: str) -> None:
    """A loaded agent acts as the original, and its optimiser continues with the same averages of gradients."""
    one = small_job(tmp_path, algorithm=algorithm, environment="MountainCar-v0", steps=300)
    original = make_model(one, CAR, 0)
    if isinstance(original, PPO):
        original.n_steps = original.rollout_buffer.buffer_size = 128
        original.rollout_buffer.reset()
    original.learn(300)
    arrays = state_arrays(original)
    restored = make_model(one, CAR, 300)
    observations = np.random.default_rng(0).uniform([-1.2, -0.07], [0.6, 0.07], size=(200, 2)).astype(np.float32)
    before = state_arrays(restored)
    assert any(not np.array_equal(before[name], arrays[name]) for name in before if name.startswith("policy/"))
    restore_state(restored, arrays, one.agent)
    again = state_arrays(restored)
    assert list(arrays) == list(again)
    assert any(name.endswith("/exp_avg") and array.any() for name, array in arrays.items())
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)
    assert restored.num_timesteps == original.num_timesteps >= 300
    np.testing.assert_array_equal(
        restored.predict(observations, deterministic=True)[0], original.predict(observations, deterministic=True)[0]
    )


def test_a_state_is_no_window_onto_the_learner(tmp_path: Path) -> None:
    model = make_model(small_job(tmp_path), CAR, 0)
    arrays = state_arrays(model)
    kept = {name: array.copy() for name, array in arrays.items()}
    model.learn(150)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, kept[name])


@pytest.mark.parametrize("wrong", ["policy/nothing", "optimizer/x/step"])
def test_a_state_that_does_not_fit_is_refused(tmp_path: Path, wrong: str) -> None:
    model = make_model(small_job(tmp_path), CAR, 0)
    with pytest.raises(UserError, match=r"does not fit the agent.*delete it") as caught:
        restore_state(model, {**state_arrays(model), wrong: np.zeros(3)}, tmp_path / "agent.npz")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lacking", ["policy", "counter"])
def test_a_state_that_lacks_something_is_refused(tmp_path: Path, lacking: str) -> None:
    model = make_model(small_job(tmp_path), CAR, 0)
    arrays = {name: array for name, array in state_arrays(model).items() if not name.startswith(lacking)}
    with pytest.raises(UserError, match=r"does not fit the agent.*delete it"):
        restore_state(model, arrays, tmp_path / "agent.npz")


@pytest.mark.parametrize(("samples", "exploration"), [(True, 0.0), (False, 0.3)])
def test_probabilities_are_those_of_the_actions_it_draws(tmp_path: Path, samples: bool, exploration: float) -> None:
    environment = load_environment("MountainCar-v0")
    model = make_model(small_job(tmp_path, algorithm="ppo"), environment, 0)
    agent = ActingModel(model, environment.action_space, samples, exploration)
    assert agent.draws
    assert not ActingModel(model, environment.action_space).draws
    seen = np.tile(np.array([-0.5, 0.02], dtype=np.float32), (1, 4000, 1))
    (probabilities,) = agent.probabilities(seen)
    assert probabilities.shape == (1, 4000, 3)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-6)
    chosen = agent.act(seen, [np.random.default_rng(0)], np.ones((1, 4000), dtype=np.bool_))
    shares = [(chosen == action).mean() for action in range(3)]
    np.testing.assert_allclose(shares, probabilities[0, 0], atol=0.03)
