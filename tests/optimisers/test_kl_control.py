"""KL control with imitators of random weights, and programmes that can be enumerated."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs_for_tests import job
from test_sampling_quantilizer import imitator

from quantilizers.envs.mountain_car import DYNAMICS
from quantilizers.envs.planning import Dynamics
from quantilizers.envs.registry import load_environment
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.results import load_results
from quantilizers.optimisers import kl_control
from quantilizers.optimisers.agents import AgentJob
from quantilizers.optimisers.dynamic_programme import DynamicProgramme
from quantilizers.optimisers.kl_control import SoftProgramme, divergences_of, policies_of
from quantilizers.policies.hyper_parameters import PerceptronTraining
from quantilizers.rewards import each_step

PLACE = each_step(lambda steps: steps.observations[:, 0].astype(float))
END = 4.0


def moved(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    after = np.clip(states + (np.asarray(actions) - 1)[:, None], 0, END)
    return after, np.zeros(len(states)), after[:, 0] == END


#: Five places in a row; the episode ends at the last. The grid has each of them.
ROW = Dynamics(
    low=(0.0,), high=(END,), points=(5,), actions=3, start=lambda seed: np.zeros(1), advance=moved,
    observe=lambda states: states, state_of=lambda observations: observations,
)  # fmt: skip


def habits(observations: np.ndarray) -> np.ndarray:
    """Probabilities of the three moves, which differ from place to place."""
    raw = np.stack([np.ones(len(observations)), 1 + observations[:, 0], np.full(len(observations), 2.0)], axis=1)
    return np.asarray(raw / raw.sum(axis=1, keepdims=True))


def enumerated(start: float, steps: int, beta: float) -> tuple[float, np.ndarray]:
    """log Σ π₀(τ) exp(β U(τ)) / β over all episodes, and the tilted probabilities of the first move."""
    weights = np.zeros(3)
    for moves in product(range(3), repeat=steps):
        place, chance, earned, used = np.array([[start]]), 1.0, 0.0, 0
        for move in moves:
            chance *= habits(place)[0, move]
            place, _, over = moved(place, np.array([move]))
            earned, used = earned + place[0, 0], used + 1
            if over[0]:
                break
        # Moves after the end do not count; each episode is counted once.
        if any(moves[used:]):
            continue
        weights[moves[0]] += chance * np.exp(beta * earned)
    return float(np.log(weights.sum()) / beta), weights / weights.sum()


@pytest.mark.parametrize("beta", [0.01, 0.3, 2.0])
def test_values_and_choices_are_those_of_tilted_episodes(beta: float) -> None:
    programme = SoftProgramme(ROW, PLACE, 5, habits, beta)
    for start, left in ((0.0, 1), (1.0, 3), (2.0, 4), (3.0, 4)):
        value, first = enumerated(start, left, beta)
        np.testing.assert_allclose(programme.probabilities(np.array([[start]]), left)[0], first, atol=1e-5)
        assert programme.values[left][int(start)] == pytest.approx(value, abs=1e-5)


def test_no_beta_imitates_and_an_endless_one_optimises() -> None:
    states = np.array([[0.0], [1.0], [2.0]])
    weak, strong = (SoftProgramme(ROW, PLACE, 5, habits, beta) for beta in (1e-9, 1e4))
    np.testing.assert_allclose(weak.probabilities(states, 5), habits(states), atol=1e-6)
    best = DynamicProgramme(ROW, PLACE, 5)
    np.testing.assert_allclose(strong.values, best.values, atol=1e-2)


def small_car() -> Any:
    car = load_environment("MountainCar-v0")
    return replace(car, planning=replace(car.planning, dynamics=replace(DYNAMICS, points=(37, 41))))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The imitator and its hash, which tests may change."""
    found: dict[str, Any] = {"hash": "0", "training": PerceptronTraining(hidden_units=(5,))}
    monkeypatch.setattr(
        kl_control, "load_policy", lambda path, environment: replace(imitator(environment), training=found["training"])
    )
    monkeypatch.setattr(kl_control, "content_hash", lambda path: found["hash"])
    return found


def controlled(folder: Path, beta: float, **changes: Any) -> AgentJob:
    folder.mkdir(exist_ok=True)
    settings = {
        "algorithm": "kl_control", "steps": 0, "beta": beta, "number_trajectories": 20, "max_steps": 60,
        "imitator": folder / "imitator.keras", "imitator_hash": "0", **changes,
    }  # fmt: skip
    one = job(folder, **settings)
    kl_control.train([one], small_car(), lambda progress: None)
    return one


def test_more_beta_earns_more_of_the_proxy_at_more_kl(tmp_path: Path, known: dict[str, Any]) -> None:
    jobs = [controlled(tmp_path / str(beta), beta) for beta in (1e-6, 0.2, 3.0)]
    divergences = [divergences_of(one).mean() for one in jobs]
    proxies = [load_results(one.rewards).proxy_returns.mean() for one in jobs]
    assert divergences[0] < 1e-6
    assert divergences[0] < divergences[1] < divergences[2]
    assert proxies[0] < proxies[1] < proxies[2]
    # As the objective has it, the proxy that a nat buys falls.
    gains = np.diff(proxies) / np.diff(divergences)
    assert gains[0] > gains[1] > 0
    # Measured once, and the agent acts again as it did.
    before = [path.read_bytes() for one in jobs for path in (one.agent, one.rewards)]
    for one in jobs:
        kl_control.train([one], small_car(), lambda progress: None)
    assert [path.read_bytes() for one in jobs for path in (one.agent, one.rewards)] == before
    agent = policies_of(jobs[1], small_car(), 0)
    agent.begin(2)
    (probabilities,) = agent.probabilities(np.array([[[-0.5, 0.0], [0.1, 0.02]]], dtype=np.float32))
    assert probabilities.shape == (1, 2, 3)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1)
    more = replace(jobs[1], number_trajectories=25)
    with pytest.raises(MissingError, match="does not have the KL of 25 episodes"):
        divergences_of(more)
    first = divergences_of(jobs[1])
    kl_control.train([more], small_car(), lambda progress: None)
    assert len(divergences_of(more)) == 25
    assert np.isfinite(first).all()


def test_it_is_of_one_imitator_and_one_beta(tmp_path: Path, known: dict[str, Any]) -> None:
    one = controlled(tmp_path / "one", 0.2)
    assert (one.recipe.entries["beta"], one.recipe.entries["imitator"]) == (0.2, "0")
    assert "beta 0.2, not 0.3" in one.recipe.difference(replace(one, beta=0.3).recipe)
    known["hash"] = "1"
    with pytest.raises(MissingError, match="is another imitator than that of"):
        policies_of(one, small_car(), 0)
    known.update(hash="0", training=PerceptronTraining(hidden_units=(5,), history=2))
    with pytest.raises(UserError, match="train it without --history"):
        controlled(tmp_path / "other", 0.2)
