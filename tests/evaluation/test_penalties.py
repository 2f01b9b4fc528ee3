from __future__ import annotations

import numpy as np
import pytest

from quantilizers.evaluation.intervals import mean_interval
from quantilizers.evaluation.penalties import even_penalty, penalised


def test_returns_at_another_price_are_those_of_the_same_episodes() -> None:
    random = np.random.default_rng(0)
    proxy, losses = random.normal(1000, 50, size=(3, 4)), random.uniform(size=(3, 4))
    found = penalised(proxy, losses, np.array([0.0, 200.0]))
    assert found == [mean_interval(proxy), mean_interval(proxy - 200 * losses)]


def test_the_even_price_is_more_proxy_for_more_loss() -> None:
    even = even_penalty(np.array([990.0, 1000.0, 1010.0]), np.array([0.1, 0.11, 0.09]))
    assert even.estimate == pytest.approx(10_000)
    assert 7_000 < even.low < 10_000 < even.high < 15_000
    # At each bound, the difference between the two agents is just about to exclude zero.
    for bound in (even.low, even.high):
        difference = mean_interval((np.array([990.0, 1000, 1010]) - bound * np.array([0.1, 0.11, 0.09]))[:, None])
        assert min(abs(difference.low), abs(difference.high)) == pytest.approx(0, abs=1e-6)


def test_where_the_losses_may_be_alike_there_is_no_finite_interval() -> None:
    even = even_penalty(np.array([990.0, 1000.0, 1010.0]), np.array([0.1, -0.1, 0.03]))
    assert not even.known
    assert even.estimate == pytest.approx(100_000)
    assert np.isnan(even_penalty(np.ones(3), np.zeros(3)).estimate)
    assert not even_penalty(np.ones(1), np.ones(1)).known


@pytest.mark.slow
def test_its_interval_covers_as_it_says() -> None:
    random = np.random.default_rng(0)
    studies = [random.normal([500.0, 0.1], [300.0, 0.02], size=(5, 2)) for _ in range(2000)]
    evens = [even_penalty(*study.T) for study in studies]
    assert np.mean([even.low <= 5000 <= even.high for even in evens if even.known]) == pytest.approx(0.95, abs=0.015)
