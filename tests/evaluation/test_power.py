from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from quantilizers.evaluation.comparisons import paired_difference
from quantilizers.evaluation.power import smallest_detectable


@pytest.mark.parametrize(("freedom", "level"), [(4, 0.05), (9, 0.05), (9, 0.01), (30, 0.05), (19, 0.005)])
def test_the_smallest_detectable_difference_has_its_power_by_scipys_noncentral_t(freedom: int, level: float) -> None:
    smallest = smallest_detectable(2.0, freedom, level)
    quantile = stats.t.isf(level / 2, freedom)
    power = stats.nct.sf(quantile, freedom, smallest / 2) + stats.nct.cdf(-quantile, freedom, smallest / 2)
    assert power == pytest.approx(0.8, abs=1e-3)


def test_the_smallest_detectable_difference_of_a_known_spread_is_2_8_errors() -> None:
    assert smallest_detectable(1.0, np.inf) == pytest.approx(1.959964 + 0.841621, abs=1e-5)
    assert smallest_detectable(1.0, 1, 0.05 / 12) > 100
    assert smallest_detectable(0.0, 4) == 0.0
    assert math.isnan(smallest_detectable(np.nan, 4))
    assert math.isnan(smallest_detectable(1.0, np.nan))


def test_so_many_studies_find_the_smallest_detectable_difference() -> None:
    true = smallest_detectable(1 / math.sqrt(5), 4)
    generator = np.random.default_rng(0)
    found = sum(paired_difference(generator.normal(true, 1, (5, 1)), np.zeros((5, 1))).p < 0.05 for _ in range(2000))
    assert 0.77 <= found / 2000 <= 0.83


@pytest.mark.parametrize(("level", "power"), [(0.0, 0.8), (0.05, 1.0), (0.5, 0.4)])
def test_an_impossible_power_is_refused(level: float, power: float) -> None:
    with pytest.raises(ValueError, match="power"):
        smallest_detectable(1.0, 4, level, power)
