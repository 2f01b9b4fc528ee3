from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jobs_for_tests import job

from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.layout import Layout
from quantilizers.optimisers.agents import AgentJob, make_jobs
from quantilizers.optimisers.measurements import is_measured, load_measurement, save_measurement


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path, "MountainCar-v0", "demo")


def measure(layout: Layout, seed: int, **changes: object) -> AgentJob:
    """Save two episodes, of 3 and of 2 steps."""
    one = job(layout.log, seed=seed, **changes)
    one = AgentJob(**{**vars(one), "rewards": layout.optimiser_rewards(seed)})
    one.agent.write_bytes(b"an agent")
    proxy = np.array([[0.5, 0.25, 0.25, 0.0], [0.5, seed, 0.0, 0.0]])
    save_measurement(one, np.array([[-1.0, -1, -1, 0], [-1, -1, 0, 0]]), proxy, np.array([3, 2]))
    return one


def test_seeds_that_were_measured_come_back(layout: Layout) -> None:
    for seed in (1, 4):
        measure(layout, seed)
    measured = load_measurement(layout, range(6), "")
    assert measured is not None
    assert (measured.algorithm, measured.steps, measured.seeds) == ("sarsa", 600, [1, 4])
    np.testing.assert_array_equal(measured.true_returns, [[-3, -2], [-3, -2]])
    np.testing.assert_array_equal(measured.proxy_returns, [[1, 1.5], [1, 4.5]])
    assert measured.results[0].true_rewards.shape == (1, 2, 3)


@pytest.mark.parametrize("strength", [{"top_k": 3}, {"beta": 0.5}])
def test_k_and_beta_are_noted(layout: Layout, strength: dict[str, float]) -> None:
    jobs = [measure(layout, seed, number_trajectories=2, **strength) for seed in (0, 1)]
    measured = load_measurement(layout, [0, 1], "")
    assert measured is not None
    assert measured.strength == strength
    assert is_measured(jobs[0])
    assert not is_measured(replace(jobs[0], **{name: 2 * value for name, value in strength.items()}))
    path = jobs[1].rewards
    with np.load(path) as arrays:
        np.savez(path, **{**arrays, next(iter(strength)): np.array(-1)})
    with pytest.raises(UserError, match="it is damaged, measure again"):
        load_measurement(layout, [0, 1], "")


def test_where_nothing_was_measured_there_is_nothing(layout: Layout) -> None:
    measure(layout, 1)
    assert load_measurement(layout, [0, 2], "") is None
    assert load_measurement(layout, [1], "q_learning") is None


@pytest.mark.parametrize(
    ("changes", "different"),
    [
        ({"steps": 800}, "with steps 800, not 600"),
        ({"max_steps": 100}, "with max_steps 100, not 200"),
        ({"algorithm": "q_learning"}, "with algorithm q_learning, not sarsa"),
        ({"options": {"lamb": 1.0}}, "with lamb 1.0, not without it"),
        ({"top_k": 3}, "with top_k 3, not without it"),
        ({"beta": 0.5}, "with beta 0.5, not without it"),
    ],
)
def test_seeds_of_different_training_are_not_mixed(layout: Layout, changes: dict, different: str) -> None:
    measure(layout, 0)
    measure(layout, 1, **changes)
    with pytest.raises(UserError, match=rf"was measured {different}, unlike .*measured alike"):
        load_measurement(layout, range(2), "")


@pytest.mark.parametrize("changes", [{"environment": "Hopper-v2"}, {"algorithm": "policy_iteration"}])
def test_results_of_something_else_are_refused(layout: Layout, changes: dict) -> None:
    measure(layout, 0, **changes)
    with pytest.raises(UserError, match=str(next(iter(changes.values())))) as caught:
        load_measurement(layout, range(1), "")
    assert "--" not in str(caught.value), "which command measures is the program's to say"


def test_a_measurement_is_known_again_while_agent_and_episodes_are_the_same(layout: Layout) -> None:
    one = measure(layout, 0, number_trajectories=2)
    assert is_measured(one)
    assert not is_measured(replace(one, number_trajectories=3))
    for changes in ({"steps": 800}, {"max_steps": 100}, {"options": {"lamb": 1.0}}, {"algorithm": "q_learning"}):
        assert not is_measured(replace(one, **changes)), changes
    assert not is_measured(replace(one, rewards=layout.optimiser_rewards(1)))
    one.agent.write_bytes(b"a better agent")
    assert not is_measured(one)
    one.agent.unlink()
    assert not is_measured(one)


def test_a_damaged_measurement_counts_as_missing(layout: Layout) -> None:
    one = measure(layout, 0, number_trajectories=2)
    one.rewards.write_bytes(one.rewards.read_bytes()[:100])
    assert not is_measured(one)


def test_what_is_not_trained_is_measured_after_no_step(tmp_path: Path) -> None:
    layout = Layout(tmp_path, "MountainCar-v0", "demo")
    environment = load_environment("MountainCar-v0")
    (one,) = make_jobs(environment, "random", [3], 0, 200, {}, 2, layout)
    one.agent.parent.mkdir(parents=True)
    one.agent.write_bytes(b"plays at random")
    save_measurement(one, -np.ones((2, 4)), -np.ones((2, 4)), np.array([4, 4]))
    measured = load_measurement(layout, [3], "random")
    assert measured is not None
    assert (measured.algorithm, measured.steps) == ("random", 0)
