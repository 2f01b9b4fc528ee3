from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from quantilizers.envs.making import make_vector
from quantilizers.envs.planning import Dynamics
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.optimisers.dynamic_programme import DynamicProgramme
from quantilizers.optimisers.planner import Plans
from quantilizers.rewards import Steps, each_step, mean_at_end, own

CAR = load_environment("MountainCar-v0")
assert isinstance(CAR.planning.dynamics, Dynamics)
COARSE = replace(CAR.planning.dynamics, points=(91, 71))
FINE = replace(CAR.planning.dynamics, points=(361, 281))
PROXY, TRUE = CAR.rewards()


def best_of_all(seed: int, steps: int) -> float:
    """Return the highest proxy return of all sequences of actions."""
    sequences = np.array(list(product(range(3), repeat=steps)))
    cars = make_vector(CAR, len(sequences), max_steps=steps)
    cars.reset(seed=[seed] * len(sequences))  # type: ignore[arg-type]
    return float(sum(cars.step(sequences[:, step])[1] for step in range(steps)).max())


def test_no_sequence_of_actions_is_better_where_all_can_be_tried() -> None:
    *_, expected = DynamicProgramme(COARSE, PROXY, 7).plan([5, 6], 7)
    np.testing.assert_allclose(expected, [best_of_all(5, 7), best_of_all(6, 7)], rtol=1e-12)


def test_the_best_returns_are_those_that_are_known() -> None:
    seeds = list(range(20))
    proxy, true = (Plans(*DynamicProgramme(FINE, reward, 200).plan(seeds, 200)) for reward in (PROXY, TRUE))
    assert proxy.expected.mean() > 13
    assert (proxy.lengths == 200).all(), "reaching the flag ends the pay"
    assert -100 < true.expected.mean() < -96
    np.testing.assert_array_equal(true.expected, -true.lengths)


def test_finer_grids_earn_more_and_differ_less_and_less() -> None:
    grids = [replace(COARSE, points=(18 * fineness + 1, 14 * fineness + 1)) for fineness in (5, 10, 20)]
    earned = [DynamicProgramme(grid, PROXY, 200).plan(list(range(10)), 200)[2].mean() for grid in grids]
    assert earned[0] < earned[1] < earned[2]
    assert earned[2] - earned[1] < earned[1] - earned[0]


def test_looking_one_step_ahead_pushes_to_the_right_always() -> None:
    actions, *_ = DynamicProgramme(COARSE, PROXY, 1).plan([3], 50)
    assert set(actions.ravel().tolist()) == {2}


def test_what_is_interpolated_is_exact_for_linear_values() -> None:
    programme = DynamicProgramme(COARSE, PROXY, 1)
    axes = [np.linspace(*ends) for ends in zip(COARSE.low, COARSE.high, COARSE.points, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    states = np.random.default_rng(0).uniform(COARSE.low, COARSE.high, (50, 2))
    weights = programme._weights(states, len(grid))
    np.testing.assert_allclose(weights @ (grid @ [2.0, -7.0] + 3), states @ [2.0, -7.0] + 3)


def test_a_mean_at_the_end_cannot_be_planned_on() -> None:
    def zero(steps: Steps) -> np.ndarray:
        return np.zeros(len(steps.observations))

    with pytest.raises(UserError, match="mean that is given at the end"):
        DynamicProgramme(COARSE, own + each_step(zero) + mean_at_end(zero), 5)
