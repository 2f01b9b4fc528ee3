from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from quantilizers.errors import UserError
from quantilizers.evaluation.visited import PrincipalComponents


def test_it_is_the_plane_of_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    observations = generator.normal(size=(500, 4)) @ generator.normal(size=(4, 4)) * [1, 10, 0.1, 3] + 5
    found = PrincipalComponents.of(observations)
    standardised = (observations - observations.mean(axis=0)) / observations.std(axis=0)
    reference = PCA(2).fit(standardised)
    np.testing.assert_allclose(found.explained, reference.explained_variance_ratio_)
    np.testing.assert_allclose(np.abs(found.axes), np.abs(reference.components_), atol=1e-9)
    np.testing.assert_allclose(np.abs(found.transform(observations)), np.abs(reference.transform(standardised)))


def test_what_does_not_vary_has_no_part_in_it() -> None:
    observations = np.random.default_rng(2).normal(size=(50, 3))
    observations[:, 1] = 7
    assert np.abs(PrincipalComponents.of(observations).axes[:, 1]).max() < 1e-12


@pytest.mark.parametrize(
    ("observations", "named"), [(np.zeros((5, 1)), "one number"), (np.ones((5, 3)), "all the same")]
)
def test_observations_without_a_plane_are_refused(observations: np.ndarray, named: str) -> None:
    with pytest.raises(UserError, match=named):
        PrincipalComponents.of(observations)
