"""The projection's mathematics, on vectors whose structure is known."""

import numpy as np
import pytest
from recipe.projection import MEAN, fit_projection, rarity

HIDDEN = 6


@pytest.fixture
def structured() -> np.ndarray:
    """Vectors that spread along axes 0 and 1; all share axis 4."""
    draw = np.random.default_rng(0)
    vectors = np.zeros((4000, HIDDEN), np.float32)
    vectors[:, 0] = draw.normal(scale=2, size=4000)
    vectors[:, 1] = draw.normal(scale=1, size=4000)
    vectors[:, 2:4] = draw.normal(scale=0.1, size=(4000, 2))
    vectors[:, 4] = 10
    return vectors


def test_axes_are_those_of_the_spread_around_the_mean(structured: np.ndarray) -> None:
    weight, _ = fit_projection(structured, np.ones(4000), 2)
    np.testing.assert_allclose(weight, np.eye(2, HIDDEN), atol=0.05)


def test_axes_are_orthonormal_and_the_largest_component_is_positive() -> None:
    vectors = np.random.default_rng(1).normal(size=(500, HIDDEN)).astype(np.float32)
    weight, bias = fit_projection(vectors, np.ones(500), 4)
    assert weight.shape == (4, HIDDEN)
    assert bias.shape == (4,)
    np.testing.assert_allclose(weight @ weight.T, np.eye(4), atol=1e-6)
    assert (weight[np.arange(4), np.abs(weight).argmax(axis=1)] > 0).all()


def test_the_bias_takes_the_share_of_the_weighted_mean(structured: np.ndarray) -> None:
    weights = np.random.default_rng(2).uniform(size=len(structured))
    weight, bias = fit_projection(structured, weights, HIDDEN)
    centre = np.average(structured, axis=0, weights=weights)
    np.testing.assert_allclose(bias, -MEAN * weight @ centre, atol=1e-4)


def test_a_token_that_counts_twice_is_a_token_there_twice() -> None:
    draw = np.random.default_rng(3)
    vectors = draw.normal(size=(60, HIDDEN)).astype(np.float32)
    counts = draw.integers(1, 4, 60)
    weighted = fit_projection(vectors, counts.astype(float), 3)
    repeated = fit_projection(vectors.repeat(counts, axis=0), np.ones(counts.sum()), 3)
    for one, other in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_rare_pieces_count_more() -> None:
    np.testing.assert_allclose(rarity(np.array([7, 7, 7, 7, 2])), [0.5, 0.5, 0.5, 0.5, 1.0])
