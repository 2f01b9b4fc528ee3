"""PPO and QR-DQN in this process, a few hundred steps at a time."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from jobs_for_tests import job

pytest.importorskip("sb3_contrib", reason="requirements-optimizers.txt is not installed")

import torch
from stable_baselines3 import PPO

from quantilizers.envs import load_environment
from quantilizers.errors import UserError
from quantilizers.optimisers import stable_baselines
from quantilizers.optimisers.agents import Agent, LearningCurve, load_agent, save_agent
from quantilizers.optimisers.learner_state import restore_state, state_arrays
from quantilizers.optimisers.stable_baselines import EpisodeReturns, _Acting, _make, train
from quantilizers.results import load_results
from quantilizers.rollouts import episode_seeds

CAR = load_environment("MountainCar-v0")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """As in the processes that train: more would only fight over small networks."""
    torch.set_num_threads(1)


def small_job(folder: Path, **changes: Any) -> Any:
    return job(folder, **{"algorithm": "qr_dqn", "steps": 400, "max_steps": 50, "number_trajectories": 3, **changes})


def test_both_returns_of_each_episode_are_reported() -> None:
    environment = EpisodeReturns(gymnasium.make(CAR.gymnasium_id, max_steps=7))
    for episode in range(2):
        environment.reset(seed=episode)
        proxy, infos = [], []
        for _ in range(7):
            _, reward, _, _, info = environment.step(2)
            proxy.append(reward)
            infos.append(info)
        assert ["episode_returns" in info for info in infos] == [False] * 6 + [True]
        assert infos[-1]["episode_returns"] == (pytest.approx(sum(proxy)), -7.0)


@pytest.mark.parametrize("algorithm", ["ppo", "qr_dqn"])
def test_a_learner_has_its_whole_state_back(tmp_path: Path, algorithm: str) -> None:
    """What comes back acts as the original does, and its optimiser goes on with the same averages of gradients."""
    one = small_job(tmp_path, algorithm=algorithm, environment="MountainCar-v0", steps=300)
    original = _make(one, CAR, 0)
    if isinstance(original, PPO):
        original.n_steps = original.rollout_buffer.buffer_size = 128
        original.rollout_buffer.reset()
    original.learn(300)
    arrays = state_arrays(original)
    restored = _make(one, CAR, 300)
    observations = np.random.default_rng(0).uniform([-1.2, -0.07], [0.6, 0.07], size=(200, 2)).astype(np.float32)
    before = state_arrays(restored)
    assert any(not np.array_equal(before[name], arrays[name]) for name in before if name.startswith("policy/"))
    restore_state(restored, arrays, one.agent)
    again = state_arrays(restored)
    assert arrays.keys() == again.keys()
    assert any(name.endswith("/exp_avg") and array.any() for name, array in arrays.items())
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)
    assert restored.num_timesteps == original.num_timesteps >= 300
    np.testing.assert_array_equal(
        restored.predict(observations, deterministic=True)[0], original.predict(observations, deterministic=True)[0]
    )


def test_a_state_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    one = small_job(tmp_path)
    with pytest.raises(UserError, match=r"does not fit the agent.*delete it"):
        restore_state(_make(one, CAR, 0), {"policy/nothing": np.zeros(3)}, one.agent)


def test_training_saves_an_agent_and_measures_it_on_the_quantilizers_episodes(tmp_path: Path) -> None:
    one, told = small_job(tmp_path), []
    train(one, told.append)
    agent, results = load_agent(one), load_results(one.rewards)
    assert agent is not None
    assert agent.steps == 400
    assert agent.curve.steps == [50, 100, 150, 200, 250, 300, 350, 400]
    assert agent.curve.true_returns == [-50.0] * 8
    assert [(p.steps, p.true_return) for p in told if p.true_return is not None] == [
        (s, -50.0) for s in agent.curve.steps
    ]
    assert any(progress.measured_steps for progress in told), "measuring takes long where the games do"
    assert all(p.steps == 400 for p in told if p.measured_steps)
    # The car starts where the seed says, at rest: after one step it is within a thousandth or two of there.
    cars = gymnasium.make(CAR.gymnasium_id)
    starts = [cars.reset(seed=seed)[0][0] for seed in episode_seeds(one.seed, slice(0, 3))]
    np.testing.assert_allclose(results.proxy_rewards[0, :, 0], starts, atol=0.004)
    assert len(set(starts)) == 3


def test_an_interrupted_training_goes_on_from_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stable_baselines, "CHECKPOINT_STEPS", 100)
    one = small_job(tmp_path)

    def interrupt(progress: Any) -> None:
        if progress.steps > 230:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(one, interrupt)
    saved = load_agent(one)
    assert saved is not None
    assert 200 <= saved.steps <= 230
    assert not one.rewards.exists()

    told: list[Any] = []
    train(one, told.append)
    assert min(progress.steps for progress in told) > saved.steps
    finished = load_agent(one)
    assert finished is not None
    assert finished.steps == 400
    assert finished.curve.steps[: len(saved.curve.steps)] == saved.curve.steps
    assert int(finished.arrays["counter/_n_calls"]) == 400

    told.clear()
    train(one, told.append)
    assert [(p.steps, p.measured_steps) for p in told] == [(400, None)], "nothing is trained or measured again"
    one.rewards.unlink()
    train(one, told.append)
    assert one.rewards.exists(), "nor trained again where only the measurement is missing"
    assert {progress.steps for progress in told} == {400}


@pytest.mark.parametrize("algorithm", ["ppo", "qr_dqn"])
def test_training_leaves_nothing_in_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    train(small_job(tmp_path / "log", algorithm=algorithm, steps=60, number_trajectories=1), lambda progress: None)
    assert not list(temporary.iterdir())


def test_the_same_seed_learns_the_same(tmp_path: Path) -> None:
    files = []
    for folder in ("one", "two"):
        one = small_job(tmp_path / folder)
        train(one, lambda progress: None)
        files.append((one.agent.read_bytes(), one.rewards.read_bytes()))
    assert files[0] == files[1]


def test_exploring_while_measured_draws_from_all_actions(tmp_path: Path) -> None:
    model = _make(small_job(tmp_path), CAR, 0)
    observations, running = np.zeros((1, 3000, 2), dtype=np.float32), np.ones((1, 3000), dtype=np.bool_)
    greedy = _Acting(model, 0.0).act(observations, [np.random.default_rng(0)], running)
    assert greedy.shape == (1, 3000, 1)
    assert len(np.unique(greedy)) == 1
    exploring = _Acting(model, 0.3).act(observations, [np.random.default_rng(0)], running)
    other = (exploring != greedy).mean()
    assert 0.17 < other < 0.23, "two thirds of three tenths"
    assert set(np.unique(exploring)) == {0, 1, 2}


def test_actions_of_ended_episodes_are_not_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _make(small_job(tmp_path, algorithm="ppo", environment="Hopper-v2"), load_environment("Hopper-v2"), 0)
    seen: list[int] = []
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda rows, **words: seen.append(len(rows)) or predict(rows, **words))
    running = np.array([[True, False, True]])
    actions = _Acting(model, 0.0).act(np.ones((1, 3, 11)), [np.random.default_rng(0)], running)
    assert (actions.shape, seen) == ((1, 3, 3), [2])
    np.testing.assert_allclose(actions[0, 0], actions[0, 2], rtol=1e-4)
    assert not actions[0, 1].any()


def test_qr_dqn_needs_discrete_actions(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="discrete actions, which Hopper-v2 does not have"):
        train(small_job(tmp_path, environment="Hopper-v2"), lambda progress: None)


def test_an_agent_of_another_network_is_refused(tmp_path: Path) -> None:
    one = small_job(tmp_path)
    save_agent(one, Agent(100, LearningCurve(), {"policy/wrong": np.zeros(2)}))
    with pytest.raises(UserError, match="delete it to train anew"):
        train(one, lambda progress: None)
