"""Token pooling equals the reference's SciPy calls, cluster by cluster and in order."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from latelite.pooling import pool


def reference(vectors: np.ndarray, factor: int, protected: int) -> np.ndarray:
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    kept, rest = vectors[:protected], vectors[protected:]
    count = max(len(rest) // factor, 1)
    if count >= len(rest):
        return vectors
    condensed = (1 - rest @ rest.T)[np.triu_indices(len(rest), k=1)]
    labels = hierarchy.fcluster(hierarchy.linkage(condensed, "ward"), t=count, criterion="maxclust")
    means = [rest[labels == label].mean(axis=0) for label in range(1, count + 1) if (labels == label).any()]
    return np.concatenate([kept, means])


def unit_vectors(rng: np.random.Generator, tokens: int, dim: int, anisotropy: float) -> Any:
    vectors = rng.standard_normal((tokens, dim)) + anisotropy * rng.standard_normal(dim)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("factor", [2, 3, 7])
@pytest.mark.parametrize("protected", [0, 1, 4])
def test_clusters_and_their_order_are_those_of_the_reference(factor: int, protected: int) -> None:
    rng = np.random.default_rng(factor * 10 + protected)
    for tokens in (1, 2, 3, 5, 17, 64, 150):
        for anisotropy in (0.0, 1.0, 3.0):
            vectors = unit_vectors(rng, tokens, int(rng.integers(4, 64)), anisotropy)
            ours = pool(vectors, pool_factor=factor, protected_tokens=protected)
            np.testing.assert_allclose(ours, reference(vectors, factor, protected), atol=1e-5)


def test_repeated_tokens_collapse_first() -> None:
    # SciPy refuses the tiny negative distances that float32 gives between equal vectors
    vectors = np.repeat(unit_vectors(np.random.default_rng(0), 20, 16, 0.0), 2, axis=0)
    pooled = pool(vectors, pool_factor=2, protected_tokens=0)
    assert len(pooled) == 20
    distances = np.abs(pooled[:, None] - vectors[None, ::2]).max(axis=2).min(axis=1)
    assert distances.max() < 1e-6


def test_nothing_is_pooled_when_nothing_can_be_saved() -> None:
    vectors = unit_vectors(np.random.default_rng(0), 3, 8, 0.0)
    assert pool(vectors, pool_factor=1, protected_tokens=0) is vectors
    assert pool(vectors, pool_factor=5, protected_tokens=3) is vectors


def test_dtype_and_size() -> None:
    pooled = pool(unit_vectors(np.random.default_rng(0), 101, 8, 0.0), pool_factor=2, protected_tokens=1)
    assert pooled.dtype == np.float32
    assert pooled.shape == (51, 8)


def test_300_tokens_take_milliseconds() -> None:
    vectors = unit_vectors(np.random.default_rng(0), 300, 128, 0.5)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        pool(vectors, pool_factor=2)
        times.append(time.perf_counter() - start)
    # 8 ms on the machine it was written on; the bound only catches a change of complexity
    assert min(times) < 0.1
