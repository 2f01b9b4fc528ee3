from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from quantilizers.envs.mountain_car import MountainCarVector


def test_each_sub_environment_has_its_own_seed() -> None:
    """The start of a sub-environment does not depend on their number."""
    many, _ = MountainCarVector(5).reset(seed=[9, 8, 7, 6, 5])
    one, _ = MountainCarVector(1).reset(seed=[7])
    np.testing.assert_array_equal(many[2], one[0])
    following, _ = MountainCarVector(3).reset(seed=6)
    np.testing.assert_array_equal(following, many[[3, 2, 1]])


def test_a_reset_without_a_seed_goes_on_with_the_generators() -> None:
    cars = MountainCarVector(3)
    first, _ = cars.reset(seed=1)
    second, _ = cars.reset()
    again, _ = cars.reset(seed=1)
    assert not (first == second).any(axis=1).any() or not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(cars.reset()[0], second)


def test_a_retired_sub_environment_freezes_and_is_not_reset_until_the_next_reset() -> None:
    cars = MountainCarVector(2, max_steps=3)
    cars.reset(seed=0)
    cars.step(np.array([2, 2]))
    cars.retire(np.array([True, False]))
    frozen = cars.step(np.array([2, 2]))[0][0]
    for _ in range(5):
        observations, proxy, terminated, truncated, info = cars.step(np.array([2, 2]))
        np.testing.assert_array_equal(observations[0], frozen)
        assert proxy[0] == 0
        assert info["true_reward"][0] == 0
        assert not terminated[0]
        assert not truncated[0]
    cars.reset()
    assert cars.step(np.array([2, 2]))[1][0] != 0


def test_the_step_after_an_end_resets_and_pays_nothing() -> None:
    cars = MountainCarVector(1, max_steps=2)
    cars.reset(seed=0)
    cars.step(np.array([2]))
    assert cars.step(np.array([2]))[3][0]
    observations, proxy, terminated, truncated, info = cars.step(np.array([2]))
    assert (proxy[0], info["true_reward"][0], terminated[0], truncated[0]) == (0, 0, False, False)
    assert observations[0, 1] == 0
    assert -0.6 <= observations[0, 0] <= -0.4


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MountainCarVector(0)
    with pytest.raises(gymnasium.error.ResetNeeded):
        MountainCarVector(1).step(np.array([0]))
    with pytest.raises(ValueError, match="2 seeds for 3"):
        MountainCarVector(3).reset(seed=[1, 2])


def test_only_those_of_a_mask_are_reset_and_the_others_go_on() -> None:
    """As Gymnasium's own vectorised environments do, with the same random numbers."""
    ours = MountainCarVector(3)
    theirs = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("quantilizers/MountainCarRR-v0") for _ in range(3)])
    seeds, mask = [4, 5, 6], np.array([True, False, True])
    for cars in (ours, theirs):
        cars.reset(seed=seeds)  # type: ignore[arg-type]
        cars.step(np.array([2, 2, 2]))
    both = [cars.reset(options={"reset_mask": mask.copy()})[0] for cars in (ours, theirs)]
    np.testing.assert_array_equal(*both)
    assert (both[0][:, 1] == 0).tolist() == mask.tolist(), "a car that goes on moves"
    stepped = [cars.step(np.array([0, 1, 2]))[:2] for cars in (ours, theirs)]
    for one, other in zip(*stepped, strict=True):
        np.testing.assert_array_equal(one, other)
    assert ours.steps.tolist() == [1, 2, 1]


@pytest.mark.parametrize("mask", [np.ones(2, dtype=bool), np.array([1, 0, 1])])
def test_a_mask_that_does_not_fit_is_refused(mask: np.ndarray) -> None:
    cars = MountainCarVector(3)
    cars.reset(seed=0)
    with pytest.raises(ValueError, match="reset_mask"):
        cars.reset(options={"reset_mask": mask})
    with pytest.raises(ValueError, match="reset_mask"):
        MountainCarVector(3).reset(options={"reset_mask": np.array([True, False, True])})


@pytest.mark.parametrize("actions", [[7, -3], [0.5, 1.0], [1], [[1, 2]], [[0], [2]], 1])
def test_actions_that_the_space_does_not_have_are_refused(actions: Any) -> None:
    cars = MountainCarVector(2)
    cars.reset(seed=0)
    with pytest.raises(ValueError, match=r"is not in Discrete\(3\)|not one for each of 2 environments"):
        cars.step(np.array(actions))
