"""Planners as the command line runs them, one seed of each kind, in this process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs_for_tests import job, optimise_all

from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.evaluation.results import load_results
from quantilizers.evaluation.rollouts import episode_seeds, roll_out
from quantilizers.optimisers import planner
from quantilizers.optimisers.agents import AgentJob
from quantilizers.optimisers.learner import check_suitable
from quantilizers.optimisers.planner import FollowedPlans, Plans, plans_of

CAR, HOPPER, PINBALL = "MountainCar-v0", "Hopper-v2", "VideoPinballNoFrameskip-v4"
OWN = f"{Path(__file__).parent / 'planned_environments.py'}:"


def plan(one: AgentJob, send: Any) -> None:
    planner.train([one], load_environment(one.environment), send)


def planned(folder: Path, environment: str, **changes: Any) -> tuple[AgentJob, list[Any]]:
    settings = {"algorithm": "planner", "steps": 2, "number_trajectories": 2, "max_steps": 20, **changes}
    one, messages = job(folder, environment=environment, **settings), []
    plan(one, messages.append)
    return one, messages


@pytest.mark.parametrize(
    ("environment", "changes"),
    [
        (CAR, {"steps": 20}),
        (CAR, {"steps": 20, "algorithm": "planner_true"}),
        (HOPPER, {"steps": 5}),
        (HOPPER, {"steps": 45, "algorithm": "planner_true"}),
        (PINBALL, {"max_steps": 12}),
        (PINBALL, {"max_steps": 12, "algorithm": "planner_true", "options": {"lamb": 1000.0}}),
        (OWN + "PLANNED", {"max_steps": 40}),
        (OWN + "BY_POLICIES", {"steps": 45, "max_steps": 40}),
    ],
)
def test_plans_earn_what_they_were_planned_to(tmp_path: Path, environment: str, changes: dict[str, Any]) -> None:
    one, messages = planned(tmp_path, environment, **changes)
    definition = load_environment(environment)
    plans = plans_of(one, definition)
    assert plans is not None
    results = load_results(one.rewards)
    earned = results.true_returns if one.algorithm == "planner_true" else results.proxy_returns
    np.testing.assert_allclose(plans.expected, earned[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(plans.lengths, results.lengths[0])
    # The start is that of the quantilizers' test episodes, and playing the plans again gives the same.
    seeds = np.array([episode_seeds(one.seed, slice(0, 2))])
    again = roll_out(definition, FollowedPlans(plans, slice(0, 2)), seeds, [], one.max_steps, one.options)
    np.testing.assert_array_equal(again.proxy_rewards.sum(axis=-1), results.proxy_returns)
    assert messages


@pytest.mark.parametrize(
    ("environment", "efforts", "max_steps"), [(OWN + "PLANNED", (1, 16), 40), (PINBALL, (1, 6), 40)]
)
def test_more_effort_earns_more_of_the_proxy(
    tmp_path: Path, environment: str, efforts: tuple[int, int], max_steps: int
) -> None:
    means = []
    for effort in efforts:
        folder = tmp_path / str(effort)
        folder.mkdir()
        one, _ = planned(folder, environment, steps=effort, max_steps=max_steps, number_trajectories=3)
        means.append(load_results(one.rewards).proxy_returns.mean())
    assert means[1] > means[0]


@pytest.mark.parametrize("environment", [OWN + "PLANNED", OWN + "BY_POLICIES"])
def test_more_episodes_go_on_from_those_that_are_planned(
    tmp_path: Path, environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole, _ = planned(tmp_path / "whole", environment, steps=4, number_trajectories=3)
    parts, _ = planned(tmp_path / "parts", environment, steps=4, number_trajectories=2)
    calls: list[int] = []
    plan_episode = planner.plan_episode
    monkeypatch.setattr(planner, "plan_episode", lambda *words: calls.append(1) or plan_episode(*words))
    monkeypatch.setattr(planner, "search", None)
    plan(replace(parts, number_trajectories=3), lambda message: None)
    assert len(calls) == (1 if environment.endswith("PLANNED") else 0)
    files = [np.load(one.agent, allow_pickle=False) for one in (whole, parts)]
    for name in ("learned/actions", "learned/lengths", "learned/expected"):
        np.testing.assert_array_equal(files[0][name], files[1][name])
    np.testing.assert_array_equal(load_results(whole.rewards).true_returns, load_results(parts.rewards).true_returns)


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = planned(tmp_path, OWN + "PLANNED")
    before = one.agent.stat().st_mtime_ns, one.rewards.stat().st_mtime_ns
    monkeypatch.setattr(planner, "play_test_episodes", None)
    plan(one, lambda message: None)
    assert (one.agent.stat().st_mtime_ns, one.rewards.stat().st_mtime_ns) == before


def test_seeds_plan_in_processes_and_alike(tmp_path: Path) -> None:
    """A plan made in another process is the same."""
    here, _ = planned(tmp_path, OWN + "PLANNED", seed=1)
    bits = here.agent.read_bytes()
    here.agent.unlink()
    here.rewards.unlink()
    optimise_all([here])
    assert here.agent.read_bytes() == bits


def test_a_plan_that_does_not_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan_episode = planner.plan_episode

    def hopeful(*words: Any) -> tuple[np.ndarray, float]:
        actions, earned = plan_episode(*words)
        return actions, earned + 0.01

    monkeypatch.setattr(planner, "plan_episode", hopeful)
    with pytest.raises(UserError, match=r"the plan of episode 1 earns .* where it was planned to earn"):
        planned(tmp_path, OWN + "PLANNED")
    assert not list(tmp_path.glob("rewards*"))


@pytest.mark.parametrize(
    ("name", "named"),
    [("UNHOOKED", "save_state and restore_state"), ("FORGETFUL", "FORGETFUL: the same actions earn other rewards")],
)
def test_environments_that_cannot_be_taken_back_are_refused_in_a_line(tmp_path: Path, name: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        check_suitable("planner", load_environment(OWN + name))
        planned(tmp_path, OWN + name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"actions": np.zeros((2, 3))},
        {"actions": np.full((2, 3, 1), np.nan)},
        {"lengths": np.array([4, 1])},
        {"lengths": np.array([0, 1])},
        {"expected": np.zeros(3)},
        {"actions": np.zeros((2, 3, 2))},
    ],
)
def test_damaged_plans_are_refused(change: dict[str, np.ndarray]) -> None:
    sound = {"actions": np.zeros((2, 3, 1)), "lengths": np.array([3, 1]), "expected": np.zeros(2)}
    assert Plans.from_arrays(sound, 1).number == 2
    with pytest.raises(UserError):
        Plans.from_arrays({**sound, **change}, 1)
