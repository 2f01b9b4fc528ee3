"""KL control by PPO: near the optimum that a soft dynamic programme computes, and the same agent after its file."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import environments_for_tests
import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from jobs_for_tests import job
from sb3_for_tests import one_thread  # noqa: F401
from test_kl_control import PLACE
from test_sampling_quantilizer import imitator

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.planning import Dynamics
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.evaluation.measuring import stacked
from quantilizers.evaluation.pressure import step_divergences
from quantilizers.evaluation.results import load_results
from quantilizers.optimisers import kl_control, kl_ppo
from quantilizers.optimisers.agents import AgentJob, load_agent
from quantilizers.optimisers.algorithms import algorithm_in
from quantilizers.optimisers.kl_control import SoftProgramme, divergences_of
from quantilizers.optimisers.learner import check_suitable
from quantilizers.optimisers.sb3_models import long_ppo

STEPS = 6


def moved(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Move left, stay or move right; states are a place and the steps so far, so that the optimum sees all it needs."""
    place = np.clip(states[:, 0] + np.asarray(actions) - 1, 0, 4)
    return np.stack([place, states[:, 1] + 1], axis=1), np.zeros(len(states)), place == 4


ROW = Dynamics(
    low=(0.0, 0.0), high=(4.0, STEPS + 1.0), points=(5, STEPS + 2), actions=3, start=lambda seed: np.zeros(2),
    advance=moved, observe=lambda states: states, state_of=lambda observations: observations,
)  # fmt: skip


class Row(gymnasium.Env[Any, Any]):
    """The same as an environment."""

    observation_space = spaces.Box(0.0, STEPS + 1.0, (2,))
    action_space = spaces.Discrete(3)

    def __init__(self, render_mode: None = None) -> None:
        pass

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._state = np.zeros((1, 2))
        return self._state[0].astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._state, _, over = moved(self._state, np.array([action]))
        return self._state[0].astype(np.float32), 0.0, bool(over[0]), False, {}


PLACES = EnvironmentDefinition(Row, PLACE, max_steps=STEPS, name="PLACES", parallel_episodes=500)


@pytest.fixture(autouse=True)
def known_imitators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kl_control, "load_policy", lambda path, environment: imitator(environment))
    monkeypatch.setattr(kl_control, "content_hash", lambda path: "0")


def controlled(folder: Path, environment: EnvironmentDefinition, **changes: Any) -> AgentJob:
    folder.mkdir(exist_ok=True)
    settings = {
        "environment": environment.name, "algorithm": "kl_control", "steps": 400, "beta": 1.0, "max_steps": STEPS,
        "number_trajectories": 3, "imitator": folder / "imitator.keras", "imitator_hash": "0", **changes,
    }  # fmt: skip
    one = job(folder, **settings)
    kl_ppo.train([one], environment, lambda progress: None)
    return one


def test_it_comes_near_the_optimum_of_its_objective(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # More and larger updates than usual, so that few steps suffice.
    quick = partial(long_ppo, learning_rate=3e-3, n_steps=32, batch_size=256)
    monkeypatch.setattr(kl_ppo, "long_ppo", quick)
    beta, steps = 1.0, 8000
    one = controlled(tmp_path, PLACES, beta=beta, steps=steps, number_trajectories=500)
    earned, divergence = load_results(one.rewards).proxy_returns.mean(), divergences_of(one).mean()
    habits: Any = stacked(PLACES, [imitator(PLACES)], "sample")

    def optimum(beta: float) -> float:
        programme = SoftProgramme(ROW, PLACE, STEPS + 1, lambda seen: habits.probabilities(seen[None])[0][0], beta)
        return float(programme.values[STEPS].ravel()[0])

    best, imitation = optimum(beta), optimum(1e-6)
    assert best - imitation > 3
    share = (earned - divergence / beta - imitation) / (best - imitation)
    assert 0.8 < share < 1.05, "the optimum is above, but for the luck of 500 episodes"


@pytest.mark.parametrize("name", ["DISCRETE_FROM_TWO", "MULTI_DISCRETE_SQUARE", "SMALL_PICTURES", "NUMBERS"])
def test_it_acts_in_every_space_of_classes(tmp_path: Path, name: str) -> None:
    environment = getattr(environments_for_tests, name)
    one = controlled(tmp_path, environment, max_steps=8, beta=1e-6)
    found = load_agent(one)
    assert found is not None
    assert found.steps >= 400
    assert found.curve.proxy_returns
    divergences = divergences_of(one)
    assert divergences.shape == (3,)
    assert divergences.max() < 1e-3, "with the greatest weight of the penalty it stays the imitator"


def test_the_same_agent_acts_after_its_file(tmp_path: Path) -> None:
    one = controlled(tmp_path, PLACES, beta=5.0)
    before = [path.read_bytes() for path in (one.agent, one.rewards)]
    kl_ppo.train([one], PLACES, lambda progress: None)
    assert [path.read_bytes() for path in (one.agent, one.rewards)] == before, "nothing is trained or measured again"
    again = controlled(tmp_path / "again", PLACES, beta=5.0)
    np.testing.assert_array_equal(divergences_of(again), divergences_of(one))
    agent, seen = kl_ppo.policies_of(one, PLACES, 0), np.array([[[0.0, 0.0], [3.0, 4.0]]], dtype=np.float32)
    habits: Any = stacked(PLACES, [imitator(PLACES)], "sample")
    ours, theirs = agent.probabilities(seen), habits.probabilities(seen)
    assert np.abs(ours[0] - theirs[0]).max() > 1e-4
    # The divergence in the loss is that which is measured.
    policy: Any = agent._model.policy
    observations = policy.obs_to_tensor({kl_ppo.SEEN: seen[0], kl_ppo.LOGS: kl_ppo.imitator_logs(habits, seen[0])})[0]
    _, _, relative = policy.evaluate_actions(observations, torch.zeros((2, 1)))
    np.testing.assert_allclose(-relative.detach(), step_divergences(ours, theirs)[0], atol=1e-6)
    more = replace(one, number_trajectories=5)
    kl_ppo.train([more], PLACES, lambda progress: None)
    assert len(divergences_of(more)) == 5


def test_it_is_ppo_where_no_dynamics_are_declared() -> None:
    for name, module in (("MountainCar-v0", "kl_control"), ("Hopper-v2", "kl_ppo")):
        check_suitable("kl_control", load_environment(name))
        assert algorithm_in("kl_control", load_environment(name)).module == module
    with pytest.raises(UserError, match="KL control needs actions that are classes"):
        check_suitable("kl_control", environments_for_tests.BOX_SQUARE)
