from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import DataWarning, UserError
from quantilizers.evaluation.evaluate import evaluate
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.policies.quantilizer import Quantilizer
from quantilizers.rewards import own


@pytest.fixture(scope="module")
def fitted(car_demonstrations: Demonstrations) -> Quantilizer:
    return Quantilizer(quantile=0.5, seeds=[3, 7], max_epochs=5).fit(car_demonstrations)


def test_both_returns_of_each_seed_and_episode_come_back(fitted: Quantilizer) -> None:
    evaluation = evaluate(fitted, episodes=4, max_steps=50)
    for array in (evaluation.true_returns, evaluation.proxy_returns, evaluation.lengths):
        assert array.shape == (2, 4)
    assert (evaluation.lengths <= 50).all()
    np.testing.assert_array_equal(evaluation.true_returns, -evaluation.lengths)
    assert evaluation.possible == (-50, 0)
    apart = replace(evaluation, true_returns=np.array([[-50.0], [-40.0]]))
    assert apart.true_return.low == -50, "an interval ends at what an episode can earn"
    assert evaluation.proxy_return == mean_interval(evaluation.proxy_returns)


def test_it_reads_well(fitted: Quantilizer) -> None:
    evaluation = evaluate(fitted, episodes=1, max_steps=1)
    text = "MountainCar-v0, q = 0.5, 2 seeds, 1 episode each: true return -1.00 [-1.00, -1.00], proxy return -0."
    assert str(evaluation).startswith(text)
    assert str(evaluation).endswith(" [95 % intervals over 2 seeds]")


def test_a_policy_is_measured_alike_beside_others_and_alone(fitted: Quantilizer) -> None:
    together = evaluate(fitted, episodes=4)
    alone = replace_policies(fitted, 1)
    np.testing.assert_array_equal(evaluate(alone, episodes=4).proxy_returns[0], together.proxy_returns[1])


def replace_policies(fitted: Quantilizer, position: int) -> Quantilizer:
    alone = Quantilizer(quantile=0.5, seeds=[7])
    alone.policies_, alone.environment_ = fitted.policies_[position : position + 1], fitted.environment_
    alone.longest_demonstration_ = fitted.longest_demonstration_
    return alone


def test_episodes_last_as_long_as_demonstrations_where_the_environment_asks(fitted: Quantilizer) -> None:
    assert fitted.longest_demonstration_ == 160
    quantilizer = replace_policies(fitted, 0)
    quantilizer.longest_demonstration_ = 30
    assert evaluate(quantilizer, episodes=1).lengths.max() > 30
    experiment = replace(fitted.environment_.experiment, cut_as_demonstrations=True)
    quantilizer.environment_ = replace(fitted.environment_, experiment=experiment)
    assert evaluate(quantilizer, episodes=1).lengths.max() == 30
    assert evaluate(quantilizer, episodes=1, max_steps=40).lengths.max() == 40
    quantilizer.longest_demonstration_ = None
    assert evaluate(quantilizer, episodes=1).lengths.max() > 40


def test_the_environment_s_own_options_are_taken_and_checked(fitted: Quantilizer) -> None:
    weighed = replace(fitted.environment_, options={"weight": 1.0}, true=lambda weight: weight * own)
    heavy = replace_policies(fitted, 0)
    heavy.environment_ = weighed
    light, twice = evaluate(heavy, episodes=2, max_steps=5), evaluate(heavy, episodes=2, max_steps=5, weight=2.0)
    np.testing.assert_array_equal(twice.true_returns, 2 * light.true_returns)
    with pytest.raises(UserError, match="weigth"):
        evaluate(heavy, weigth=2.0)


def test_what_is_not_fitted_or_impossible_is_refused(fitted: Quantilizer) -> None:
    with pytest.raises(UserError, match="not fitted"):
        evaluate(Quantilizer())
    wrong: dict[str, Any]
    for wrong in ({"episodes": 0}, {"max_steps": 0}, {"episodes": "3"}, {"max_steps": 2.5}):
        with pytest.raises(UserError, match="give a whole number from 1 on"):
            evaluate(fitted, **wrong)


def test_a_shorter_horizon_than_that_of_the_demonstrations_is_said(fitted: Quantilizer) -> None:
    with pytest.warns(DataWarning, match="demonstrations have up to 160 steps, and policies are cut after 159, so"):
        evaluate(fitted, episodes=1, max_steps=159)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(fitted, episodes=1, max_steps=160)
