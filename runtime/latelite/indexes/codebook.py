"""Token centroids: k-means in NumPy, and the nearest centroid of many tokens."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_SEED = 100
_ITERATIONS = 8
_SAMPLE_PER_CENTROID = 32
_BLOCK = 4096
_GRAPH_FROM = 4096
"""Centroids from which a graph finds the nearest one faster than a product."""


def centroid_count(tokens: int) -> int:
    """The power of two nearest to 8 sqrt(tokens), 8,192 for 1.2 million, or fewer where k-means would lack tokens."""
    wanted = min(8 * np.sqrt(tokens), tokens / _SAMPLE_PER_CENTROID)
    return int(2 ** min(max(round(np.log2(wanted)), 3), 16))


def sample_size(centroids: int) -> int:
    """Tokens that k-means looks at."""
    return centroids * _SAMPLE_PER_CENTROID


def fit(sample: Floats, centroids: int) -> Floats:
    """Lloyd's k-means over (tokens, dim): return (centroids, dim) float32.

    Starts from random tokens; a centroid that loses all its tokens takes one of those that are farthest from theirs.
    The same sample always gives the same centroids.
    """
    rng = np.random.default_rng(_SEED)
    centroids = min(centroids, len(sample))
    means: Floats = sample[np.sort(rng.choice(len(sample), centroids, replace=False))].copy()
    for _ in range(_ITERATIONS):
        nearest, distance = nearest_by_product(sample, means)
        counts = np.bincount(nearest, minlength=centroids)
        order = np.argsort(nearest, kind="stable")
        filled = np.flatnonzero(counts)
        starts = np.cumsum(counts) - counts
        means[filled] = np.add.reduceat(sample[order], starts[filled], axis=0) / counts[filled, None]
        empty = np.flatnonzero(counts == 0)
        if len(empty):
            means[empty] = sample[np.argsort(-distance, kind="stable")[: len(empty)]]
    return means


def nearest_by_product(tokens: Floats, centroids: Floats) -> tuple[Ints, Floats]:
    """Per token the nearest centroid in L2 and the squared distance to it: (tokens,) int64 and float32."""
    half = (centroids**2).sum(axis=1) / 2
    nearest = np.empty(len(tokens), np.int64)
    distance = np.empty(len(tokens), np.float32)
    for start in range(0, len(tokens), _BLOCK):
        block = tokens[start : start + _BLOCK]
        closeness = block @ centroids.T
        closeness -= half
        best = closeness.argmax(axis=1)
        nearest[start : start + len(block)] = best
        distance[start : start + len(block)] = (block**2).sum(axis=1) - 2 * closeness[np.arange(len(block)), best]
    return nearest, np.maximum(distance, 0)


class Assigner:
    """Finds the nearest centroid: through an hnswlib graph where that pays and is installed, else by a product."""

    def __init__(self, centroids: Floats, tokens: int) -> None:
        """``tokens``: how many will be assigned; a graph has to be built first."""
        self._centroids = centroids
        self._graph: Any = None
        if len(centroids) >= _GRAPH_FROM and tokens > 8 * len(centroids):
            self._graph = _graph(centroids)

    def __call__(self, tokens: Floats) -> Ints:
        """(tokens, dim) float32 to (tokens,) int64 centroid numbers."""
        if self._graph is None:
            return nearest_by_product(tokens, self._centroids)[0]
        labels, _ = self._graph.knn_query(tokens, k=1)
        nearest: Ints = labels[:, 0].astype(np.int64)
        return nearest


def _graph(centroids: Floats) -> Any:
    """A graph over the centroids, in memory only; None without hnswlib."""
    try:
        import hnswlib
    except ImportError:
        return None
    graph = hnswlib.Index(space="l2", dim=centroids.shape[1])
    graph.init_index(len(centroids), M=16, ef_construction=100, random_seed=_SEED)
    graph.add_items(centroids, np.arange(len(centroids)), num_threads=1)
    graph.set_ef(32)
    return graph


def taken(blocks: Iterable[Floats], total: int, wanted: int) -> Floats:
    """An even sample of ``wanted`` of the ``total`` tokens in ``blocks``: (wanted, dim) float32."""
    chosen = np.sort(np.random.default_rng(_SEED).choice(total, min(wanted, total), replace=False))
    rows, start = [], 0
    for block in blocks:
        low, high = np.searchsorted(chosen, [start, start + len(block)])
        rows.append(block[chosen[low:high] - start])
        start += len(block)
    return np.concatenate(rows)
