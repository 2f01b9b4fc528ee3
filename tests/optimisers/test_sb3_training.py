"""PPO and QR-DQN in this process, a few hundred steps at a time."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from jobs_for_tests import small_job
from sb3_contrib import QRDQN
from sb3_for_tests import one_thread  # noqa: F401
from stable_baselines3 import PPO

from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.evaluation.measuring import NotFiniteError
from quantilizers.evaluation.results import load_results
from quantilizers.evaluation.rollouts import episode_seeds
from quantilizers.optimisers import sb3_training
from quantilizers.optimisers.agents import Agent, AgentJob, LearningCurve, load_agent, save_agent
from quantilizers.optimisers.sb3_models import make_model, restore_state

CAR = load_environment("MountainCar-v0")


def train(one: AgentJob, send: Any) -> None:
    sb3_training.train([one], load_environment(one.environment), send)


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
    monkeypatch.setattr(sb3_training, "CHECKPOINT_STEPS", 100)
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
    assert not one.exported.exists(), "it is not trained yet"

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


def test_an_interrupted_long_ppo_has_the_spread_of_returns_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sb3_training, "CHECKPOINT_STEPS", 100)
    # 400 steps are 32 × 8 that are learned from, and as many again.
    one = small_job(tmp_path, algorithm="ppo_long", max_steps=5)

    def interrupt(progress: Any) -> None:
        if progress.steps > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(one, interrupt)
    saved = load_agent(one)
    assert saved is not None
    assert saved.steps == 256
    assert saved.arrays["returns/count"] > 256
    model = make_model(one, CAR, saved.steps)
    restore_state(model, saved.arrays, one.agent)
    spread = model.get_vec_normalize_env()
    assert spread is not None
    assert (spread.ret_rms.var, spread.ret_rms.count) == (saved.arrays["returns/var"], saved.arrays["returns/count"])
    train(one, lambda progress: None)
    finished = load_agent(one)
    assert finished is not None
    assert finished.steps == 512
    assert finished.curve.steps[: len(saved.curve.steps)] == saved.curve.steps


def test_the_long_ppo_ends_where_its_proxy_stands_still_and_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sb3_training, "stands_still", lambda curve, steps, budget: steps >= budget / 2)
    # At most 128 steps of each of 32 before it learns.
    one = small_job(tmp_path, algorithm="ppo_long", steps=12_000, max_steps=50)
    train(one, lambda progress: None)
    trained = load_agent(one)
    assert trained is not None
    assert trained.steps == 2 * 4096 + 32, "one more step of all tells the library to end"
    told: list[Any] = []
    train(one, told.append)
    assert [progress.steps for progress in told] == [trained.steps]
    assert load_results(one.rewards).true_returns.shape == (1, 3)


@pytest.mark.parametrize("algorithm", ["ppo", "qr_dqn"])
def test_training_leaves_nothing_in_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    train(small_job(tmp_path / "log", algorithm=algorithm, steps=60, number_trajectories=1), lambda progress: None)
    assert not list(temporary.iterdir())


def test_the_same_seed_learns_the_same_and_another_something_else(tmp_path: Path) -> None:
    files = []
    for folder, seed in (("one", 0), ("two", 0), ("other", 1)):
        one = small_job(tmp_path / folder, seed=seed)
        train(one, lambda progress: None)
        files.append((one.agent.read_bytes(), one.rewards.read_bytes()))
    assert files[0] == files[1]
    assert all(found != others for found, others in zip(files[0], files[2], strict=True))


def test_qr_dqn_needs_discrete_actions(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="discrete actions, which Hopper-v2 does not have"):
        train(small_job(tmp_path, environment="Hopper-v2"), lambda progress: None)


def test_an_agent_of_another_network_is_refused(tmp_path: Path) -> None:
    one = small_job(tmp_path)
    save_agent(one, Agent(100, LearningCurve(), {"policy/wrong": np.zeros(2)}))
    with pytest.raises(UserError, match="delete it to train again"):
        train(one, lambda progress: None)


@pytest.mark.parametrize(("algorithm", "library"), [("ppo", PPO), ("ppo_long", PPO), ("qr_dqn", QRDQN)])
def test_an_agent_is_exported_for_its_library(tmp_path: Path, algorithm: str, library: Any) -> None:
    one = small_job(tmp_path, algorithm=algorithm, steps=150)
    train(one, lambda progress: None)
    assert one.exported == tmp_path / "agent_0.zip"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent_0.npz", "agent_0.zip", "rewards_0.npz"]
    theirs = library.load(one.exported, device="cpu")
    ours, saved = make_model(one, CAR, 0), load_agent(one)
    assert saved is not None
    restore_state(ours, saved.arrays, one.agent)
    observations = np.random.default_rng(0).uniform([-1.2, -0.07], [0.6, 0.07], size=(200, 2)).astype(np.float32)
    np.testing.assert_array_equal(
        theirs.predict(observations, deterministic=True)[0], ours.predict(observations, deterministic=True)[0]
    )
    assert theirs.num_timesteps == saved.steps


def test_an_export_belongs_to_the_agent_beside_it_and_is_never_read(tmp_path: Path) -> None:
    one = small_job(tmp_path, steps=150)
    one.exported.write_bytes(b"of another agent")
    train(one, lambda progress: None)
    assert zipfile.is_zipfile(one.exported)
    one.exported.write_bytes(b"whatever")
    train(one, lambda progress: None)
    assert one.exported.read_bytes() == b"whatever"
    one.exported.unlink()
    train(one, lambda progress: None)
    assert zipfile.is_zipfile(one.exported), "agents of before there were exports get theirs"


PAID_NO_NUMBER = """
import gymnasium, numpy as np
from gymnasium.spaces import Box, Discrete
from quantilizers import EnvironmentDefinition, Experiment, own

class Game(gymnasium.Env):
    observation_space, action_space = Box(-1.0, 1.0, (2,)), Discrete(2)
    def __init__(self, render_mode=None):
        self.steps = 0
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, dtype=np.float32), {}
    def step(self, action):
        self.steps += 1
        reward = float("inf") if self.steps == 30 else 1.0
        return np.zeros(2, dtype=np.float32), reward, False, False, {}

ENVIRONMENT = EnvironmentDefinition(Game, own, max_steps=20, experiment=Experiment(number_trajectories=2))
"""


@pytest.mark.parametrize("algorithm", ["ppo", "qr_dqn"])
def test_an_agent_that_is_paid_no_number_is_not_saved(algorithm: str, tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text(PAID_NO_NUMBER)
    one = small_job(tmp_path, environment=f"{tmp_path / 'game.py'}:ENVIRONMENT", algorithm=algorithm)
    with pytest.raises(NotFiniteError, match="rewards or the agent's values became NaN or infinite"):
        train(one, lambda progress: None)
    assert not one.agent.exists()
    assert not one.rewards.exists()
