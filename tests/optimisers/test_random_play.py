from __future__ import annotations

from pathlib import Path

import environments_for_tests
import numpy as np
import pytest
from jobs_for_tests import job, optimise_all

from quantilizers.envs.actions import environment_actions
from quantilizers.errors import UserError
from quantilizers.evaluation.results import load_results
from quantilizers.optimisers.learner import check_suitable
from quantilizers.optimisers.random_play import RandomPlay


@pytest.mark.parametrize("name", ["DISCRETE_FROM_TWO", "MULTI_DISCRETE_SQUARE", "MULTI_BINARY_SQUARE", "BOX_SQUARE"])
def test_actions_are_uniform_over_the_whole_space(name: str) -> None:
    space = getattr(environments_for_tests, name).action_space
    play, generator = RandomPlay(space, name), np.random.default_rng(0)
    vectors = play.act(np.zeros((1, 4000, 3)), [generator], np.ones((1, 4000), dtype=bool))
    actions = environment_actions(vectors, space)
    assert all(space.contains(action) for action in actions[:100])
    space.seed(0)
    sampled = np.stack([space.sample() for _ in range(4000)]).reshape(4000, -1)
    for ours, theirs in zip(actions.reshape(4000, -1).T, sampled.T, strict=True):
        np.testing.assert_allclose(
            np.histogram(ours, bins=5, range=(-2, 5))[0], np.histogram(theirs, bins=5, range=(-2, 5))[0], atol=180
        )


def test_it_is_measured_as_the_others_are_and_not_twice(tmp_path: Path) -> None:
    jobs = [
        job(
            tmp_path,
            environment="Hopper-v2",
            algorithm="random",
            seed=seed,
            steps=0,
            max_steps=30,
            number_trajectories=6,
        )
        for seed in (0, 1)
    ]
    optimise_all(jobs)
    first, second = (load_results(one.rewards) for one in jobs)
    assert first.true_returns.shape == (1, 6)
    assert len(np.unique(np.stack([first.true_returns, second.true_returns]))) == 12
    changed = [path.stat().st_mtime_ns for one in jobs for path in (one.agent, one.rewards)]
    optimise_all(jobs)
    assert [path.stat().st_mtime_ns for one in jobs for path in (one.agent, one.rewards)] == changed
    jobs[0].rewards.unlink()
    optimise_all(jobs)
    np.testing.assert_array_equal(load_results(jobs[0].rewards).true_rewards, first.true_rewards)


def test_endless_actions_cannot_be_drawn_uniformly() -> None:
    with pytest.raises(UserError, match="bounded actions, which ENDLESS_BOX does not have"):
        check_suitable("random", environments_for_tests.ENDLESS_BOX)
