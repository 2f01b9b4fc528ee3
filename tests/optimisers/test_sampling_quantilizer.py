"""The sampling quantilizer with imitators of random weights, which need no TensorFlow."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import environments_for_tests
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from jobs_for_tests import job

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.results import load_results
from quantilizers.evaluation.rollouts import episode_seeds, roll_out
from quantilizers.optimisers import sampling_quantilizer
from quantilizers.optimisers.agents import AgentJob
from quantilizers.optimisers.learner import check_suitable, steps_to_report
from quantilizers.optimisers.paths import load_path_of
from quantilizers.optimisers.sampling_quantilizer import path_of_rollouts, rollout_returns
from quantilizers.policies.hyper_parameters import PerceptronTraining
from quantilizers.policies.multilayer_perceptron import weight_shapes
from quantilizers.policies.policy import TrainedPolicy
from quantilizers.quantilize import top_k_of_n_divergence
from quantilizers.rewards import own
from quantilizers.studies.bounds import bounds_of_rollouts

CAR, HOPPER = "MountainCar-v0", "Hopper-v2"
OWN = f"{Path(__file__).parent / 'planned_environments.py'}:PLANNED"


def imitator(environment: EnvironmentDefinition, seed: int = 0) -> TrainedPolicy:
    generator, training = np.random.default_rng(seed), PerceptronTraining(hidden_units=(5,))
    shapes = weight_shapes(environment, training)
    return TrainedPolicy(1.0, seed, [generator.normal(size=one).astype(np.float32) for one in shapes], training)


@pytest.fixture(autouse=True)
def known_imitators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling_quantilizer, "load_policy", lambda path, environment: imitator(environment))


def sampled(folder: Path, environment: str = CAR, **changes: Any) -> AgentJob:
    settings = {
        "algorithm": "sampling_quantilizer", "steps": 12, "top_k": 3, "number_trajectories": 4, "max_steps": 60,
        "imitator": folder / "imitator.keras", "imitator_hash": "0", **changes,
    }  # fmt: skip
    one = job(folder, environment=environment, **settings)
    sampling_quantilizer.train([one], load_environment(environment), lambda progress: None)
    return one


@pytest.mark.parametrize("environment", [CAR, HOPPER, OWN])
def test_one_of_the_best_k_rollouts_from_the_start_is_played(tmp_path: Path, environment: str) -> None:
    one, definition = sampled(tmp_path, environment), load_environment(environment)
    true, proxy = rollout_returns(one, definition)
    results = load_results(one.rewards)
    assert true.shape == proxy.shape == (4, 12)
    for of_true, of_proxy, played_true, played_proxy in zip(
        true, proxy, results.true_returns[0], results.proxy_returns[0], strict=True
    ):
        (place,) = np.flatnonzero(np.isclose(of_proxy, played_proxy, rtol=1e-9))[:1]
        assert of_true[place] == pytest.approx(played_true)
        assert (of_proxy > of_proxy[place] + 1e-9).sum() < 3
        assert len(np.unique(of_proxy)) > 6
    # The plan is played from the start of the test episode.
    seeds = np.array([episode_seeds(0, slice(1, 2))])
    again = roll_out(definition, sampling_quantilizer.policies_of(one, definition, 1), seeds, [], 60, {})
    assert again.proxy_rewards.sum() == pytest.approx(results.proxy_returns[0, 1])


def test_all_of_the_best_k_are_played_and_with_k_1_the_best_alone(tmp_path: Path) -> None:
    places: list[int] = []
    for folder, k in (("best", 1), ("some", 4)):
        (tmp_path / folder).mkdir()
        one = sampled(tmp_path / folder, top_k=k, number_trajectories=25, max_steps=30)
        _, proxy = rollout_returns(one, load_environment(CAR))
        played = load_results(one.rewards).proxy_returns[0]
        if k == 1:
            np.testing.assert_allclose(played, proxy.max(axis=1))
        else:
            places = (proxy > played[:, None] + 1e-9).sum(axis=1).tolist()
    assert set(places) == {0, 1, 2, 3}


def test_rollouts_depend_on_the_seed_the_episode_and_their_number_alone(tmp_path: Path) -> None:
    definition = load_environment(CAR)
    # 5,000 rollouts of four starts run side by side, or two batches of one start after the other.
    narrow = replace(definition, parallel_episodes=9)
    first = sampled(tmp_path, number_trajectories=2)
    before, agent = rollout_returns(first, definition)[1], first.agent.read_bytes()
    more = sampled(tmp_path, number_trajectories=5)
    after = rollout_returns(more, definition)[1]
    np.testing.assert_array_equal(after[:2], before)
    assert sampled(tmp_path, number_trajectories=5).agent.read_bytes() != agent
    for folder in ("narrow", "alone", "other"):
        (tmp_path / folder).mkdir()
    whole = sampled(tmp_path / "alone", number_trajectories=5)
    assert whole.agent.read_bytes() == more.agent.read_bytes()
    np.testing.assert_array_equal(load_results(whole.rewards).true_rewards, load_results(more.rewards).true_rewards)
    other = sampled(tmp_path / "other", seed=1)
    assert not np.isin(rollout_returns(other, definition)[1], after).any()
    divided = replace(whole, agent=tmp_path / "narrow" / "agent.npz", rewards=tmp_path / "narrow" / "rewards.npz")
    sampling_quantilizer.train([divided], narrow, lambda progress: None)
    assert rollout_returns(divided, narrow)[1].shape == (5, 12)


def test_the_path_is_the_mean_over_the_choice_and_its_bounds_hold(tmp_path: Path) -> None:
    for seed in (0, 1):
        sampled(tmp_path, seed=seed, steps=20, top_k=3)
    jobs = [job_of(tmp_path, seed) for seed in (0, 1)]
    definition = load_environment(CAR)
    path = path_of_rollouts(jobs, definition)
    np.testing.assert_allclose(path.efforts, [20 / k for k in (20, 10, 5, 3, 2, 1)])
    returns = [rollout_returns(one, definition) for one in jobs]
    for seed, (true, proxy) in enumerate(returns):
        order = np.argsort(-proxy, axis=1)
        for point, k in zip(path.points, (20, 10, 5, 3, 2, 1), strict=True):
            best = np.take_along_axis(true, order[:, :k], axis=1).mean(axis=1)
            np.testing.assert_allclose(point.true_returns[seed], best)
            assert point.divergence is not None
            assert point.divergence.estimate == pytest.approx(top_k_of_n_divergence(20, k))
    assert (np.diff([one.estimate for one in path.proxy]) > 0).all()
    path.save(tmp_path / "path.json", {})
    again = load_path_of(tmp_path / "path.json")
    assert again is not None
    np.testing.assert_array_equal(again.points[2].divergences, path.points[2].divergences)
    # Whatever the cost, one of the best k costs at most n/k times as much as all rollouts, in the mean over the choice.
    rollouts = np.stack([true for true, _ in returns])
    for point, k in zip(path.points, (20, 10, 5, 3, 2, 1), strict=True):
        checks = bounds_of_rollouts(rollouts, point.true_returns, 20 / k, np.array([-60.0, -20.0]))
        assert checks.finding("shortfall") == "kept"
        assert checks.bound("shortfall") == pytest.approx(20 / k * (-20 - rollouts).mean())
    # A returns' mean is no failure of episodes; the worst of them is one.
    worst = np.full((2, 4), -1000.0)
    assert bounds_of_rollouts(rollouts, worst, 1.0, np.array([-60.0, -20.0])).finding("failures") == "broken"


def job_of(folder: Path, seed: int) -> AgentJob:
    return job(
        folder, algorithm="sampling_quantilizer", seed=seed, steps=20, top_k=3, number_trajectories=4, max_steps=60,
        imitator=folder / "imitator.keras", imitator_hash="0",
    )  # fmt: skip


def test_another_imitator_or_k_is_another_agent(tmp_path: Path) -> None:
    one = sampled(tmp_path)
    assert "imitator" in one.recipe.entries
    for change, named in (
        ({"imitator_hash": "1"}, "another imitator than"),
        ({"top_k": 2}, "top_k 3, not 2"),
        ({"steps": 13}, "steps 12, not 13"),
    ):
        assert named in one.recipe.difference(replace(one, **change).recipe)
        with pytest.raises(MissingError, match="no rollouts"):
            rollout_returns(replace(one, **change), load_environment(CAR))
    # Agents of other algorithms note neither.
    assert not {"imitator", "top_k"} & set(job(tmp_path).recipe.entries)
    assert steps_to_report(one, load_environment(CAR)) == 48


class Unseeded(CartPoleEnv):
    """A pole that begins anywhere, whatever the seed."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return super().reset(options=options)


def test_an_environment_whose_resets_do_not_repeat_is_refused(tmp_path: Path) -> None:
    definition = EnvironmentDefinition(Unseeded, own, max_steps=30)
    one = job(
        tmp_path, algorithm="sampling_quantilizer", steps=6, top_k=2, number_trajectories=1, max_steps=30,
        imitator=tmp_path / "imitator.keras",
    )  # fmt: skip
    with pytest.raises(UserError, match="resets with the same seed begin in different states"):
        sampling_quantilizer.train([one], definition, lambda progress: None)
    assert not one.agent.exists()


def test_actions_that_are_no_classes_cannot_be_sampled() -> None:
    with pytest.raises(UserError, match="sampling quantilizer needs actions that are classes"):
        check_suitable("sampling_quantilizer", environments_for_tests.BOX_SQUARE)


def test_returns_of_rollouts_that_do_not_fit_are_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = sampled(tmp_path)
    plans = sampling_quantilizer.plans_of(one, load_environment(CAR))
    assert plans is not None
    for more, named in (({}, "has no returns of rollouts"), ({name: np.zeros((4, 3)) for name in plans.more}, "not")):
        monkeypatch.setattr(sampling_quantilizer, "plans_of", lambda *_, more=more: replace(plans, more=more))
        with pytest.raises(UserError, match=named):
            rollout_returns(one, load_environment(CAR))
    assert math.isfinite(plans.expected.sum())
