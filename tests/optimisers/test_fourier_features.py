from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_approximation import RBFSampler
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler

from quantilizers.optimisers.fourier_features import FEATURES_PER_KERNEL, KERNEL_GAMMAS, FourierFeatures, draw_features

LOW, HIGH = np.array([-1.2, -0.07]), np.array([0.6, 0.07])


@pytest.fixture
def observations() -> np.ndarray:
    return np.random.default_rng(9).uniform(LOW, HIGH, size=(50, 2))


def test_features_are_those_of_scikit_learn_with_the_same_random_numbers(observations: np.ndarray) -> None:
    features = draw_features(LOW, HIGH, np.random.default_rng(0))
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.n_features_in_ = features.mean[0], features.deviation[0], 2
    blocks = []
    for index, gamma in enumerate(KERNEL_GAMMAS):
        block = slice(index * FEATURES_PER_KERNEL, (index + 1) * FEATURES_PER_KERNEL)
        sampler = RBFSampler(gamma=gamma, n_components=FEATURES_PER_KERNEL).fit(observations)
        sampler.random_weights_ = features.frequencies[0][:, block]
        sampler.random_offset_ = features.offsets[0][block]
        blocks.append(sampler.transform(scaler.transform(observations)))
    ours = np.stack([features(one[None])[0] for one in observations])
    np.testing.assert_allclose(ours, np.concatenate(blocks, axis=1), atol=1e-12)


def test_products_of_features_approach_gaussian_kernels(observations: np.ndarray) -> None:
    parts = [draw_features(LOW, HIGH, np.random.default_rng(seed)) for seed in range(60)]
    standardised = (observations - parts[0].mean) / parts[0].deviation
    products = np.zeros((len(KERNEL_GAMMAS), 50, 50))
    for part in parts:
        shown = np.stack([part(one[None])[0] for one in observations]).reshape(50, len(KERNEL_GAMMAS), -1)
        products += np.einsum("igf,jgf->gij", shown, shown) / len(parts)
    for product, gamma in zip(products, KERNEL_GAMMAS, strict=True):
        np.testing.assert_allclose(product, rbf_kernel(standardised, gamma=gamma), atol=0.08)


def test_observations_are_standardised_by_the_bounds() -> None:
    """A uniform draw between two bounds has their middle as its mean and their distance over √12 as deviation."""
    features = draw_features(LOW, HIGH, np.random.default_rng(1))
    np.testing.assert_allclose(features.mean[0], (LOW + HIGH) / 2, atol=0.02)
    np.testing.assert_allclose(features.deviation[0], (HIGH - LOW) / np.sqrt(12), rtol=0.02)


def test_agents_side_by_side_have_features_of_their_own(observations: np.ndarray) -> None:
    parts = [draw_features(LOW, HIGH, np.random.default_rng(seed)) for seed in range(3)]
    together = FourierFeatures.stack(parts)(observations[:3])
    alone = np.concatenate([part(observations[index : index + 1]) for index, part in enumerate(parts)])
    np.testing.assert_array_equal(together, alone)
    assert len(np.unique(together.round(6))) > 1000


def test_what_never_varies_is_not_scaled() -> None:
    features = draw_features(np.array([0.0, 3.0]), np.array([1.0, 3.0]), np.random.default_rng(0))
    assert features.deviation[0, 1] == 1
    assert np.isfinite(features(np.array([[0.5, 3.0]]))).all()
