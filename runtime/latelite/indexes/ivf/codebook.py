"""Codebooks: token centroids, found by k-means, and integer products with them.

k-means is spherical: a token belongs to the centroid whose direction is nearest. A centroid is kept as the mean of its
tokens, not at unit length: its product with a query token is then the mean of its tokens' products, which makes the
better candidates (of SciFact's ten best documents .989 are among 256 candidates, .984 with unit length).

Tokens and directions are rounded for it (8 and 7 bits), so that ONNX Runtime's integer product does the work: 5 to 7 µs
a token for 8,192 centroids on one thread, where float32 products take 19 to 26. That needs no graph over the centroids,
which would have to be built first. What rounding makes of two equally near centroids does not matter to a search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats, Ints
from latelite.maxsim.graphs import products
from latelite.storage.priority import rest

_SEED = 100
_ITERATIONS = 4
_SAMPLE_PER_CENTROID = 32
_FREQUENT_AND_RARE = 4
"""One centroid of so many is fitted to the tokens that lie far from all others."""
_FAR = 10
"""One token of so many counts as lying far from all others."""
_BLOCK = 1 << 14
"""Tokens that are float32 at a time."""
_ROWS_AT_ONCE = 4096
"""Centroids per product with a query, which ONNX Runtime holds twice."""
_BLOCK_PRODUCTS = 1 << 20
"""Products per block: 4 MiB, which ONNX Runtime holds twice."""


@dataclass(frozen=True)
class Codebook:
    """Centroids as they are kept, mapped: rounded for products."""

    rows: NDArray[np.uint8]
    """(centroids, dim), each component divided by ``steps`` and rounded, plus 128."""
    steps: Floats
    """(dim,)"""

    @classmethod
    def of(cls, centroids: Floats) -> Codebook:
        """Round ``centroids``, (centroids, dim) float32."""
        steps = _steps(centroids)
        return cls(_unsigned(centroids, steps), steps)

    def __len__(self) -> int:
        return len(self.rows)

    def centroids(self) -> Floats:
        """(centroids, dim) float32."""
        decoded = self.rows.astype(np.float32)
        decoded -= 128
        decoded *= self.steps
        return decoded

    def closeness(self, query: Floats) -> tuple[NDArray[np.int32], Floats]:
        """Inner products with a query (query tokens, dim), rounded to 7 bits per token.

        Returns:
            (centroids, query tokens) int32, and per query token what one of its integers counts.
        """
        scaled = query * self.steps
        widest = np.abs(scaled).max(axis=1, initial=0)
        steps = (np.where(widest > 0, widest, 1) / 63).astype(np.float32)
        columns = np.ascontiguousarray(np.rint(scaled / steps[:, None]).T.astype(np.int8))
        found = np.empty((len(self), len(query)), np.int32)
        for start in range(0, len(self), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            (found[part],) = products().run(None, {"rows": self.rows[part], "columns": columns})
        return found, steps


def centroid_count(tokens: int) -> int:
    """The power of two nearest to 8 sqrt(tokens), 8,192 for 1.2 million, or fewer where k-means would lack tokens."""
    wanted = min(8 * np.sqrt(tokens), tokens / _SAMPLE_PER_CENTROID)
    return int(2 ** min(max(round(np.log2(wanted)), 3), 16))


def sample_size(centroids: int) -> int:
    """Tokens that k-means looks at."""
    return centroids * _SAMPLE_PER_CENTROID


def fit(sample: NDArray[Any], centroids: int, decode: Callable[[NDArray[Any]], Floats] = np.asarray) -> Floats:
    """Spherical k-means over (tokens, dim): return (centroids, dim) float32, the mean of the tokens of each.

    A quarter of the centroids are fitted to the tenth of the tokens that lie farthest from the others: frequent tokens
    would take them all, and a document that answers with a rare word would not be found. The same sample always gives
    the same centroids.

    Args:
        sample: float32 vectors, or what ``decode`` turns into them; only a block of them is float32 at a time.
    """
    centroids = min(centroids, len(sample))
    rare = min(centroids // _FREQUENT_AND_RARE, len(sample) // _FAR)
    means, farness = _k_means(sample, centroids - rare, decode)
    if not rare:
        return means
    far = np.sort(np.argsort(-farness, kind="stable")[: len(sample) // _FAR])
    return np.concatenate([means, _k_means(sample[far], rare, decode)[0]])


def _k_means(sample: NDArray[Any], centroids: int, decode: Callable[[NDArray[Any]], Floats]) -> tuple[Floats, Floats]:
    """The means, and how far each token was from the nearest at last, (tokens,) squared.

    Starts from random tokens; a centroid that loses all its tokens takes one of those that are farthest from theirs.
    """
    rng = np.random.default_rng(_SEED)
    means: Floats = np.array(decode(sample[np.sort(rng.choice(len(sample), centroids, replace=False))]))
    farness = np.empty(len(sample), np.float32)
    for _ in range(_ITERATIONS):
        sums = Means(means)
        for start in range(0, len(sample), _BLOCK):
            block = decode(sample[start : start + _BLOCK])
            nearest = assign(block, means)
            farness[start : start + _BLOCK] = distances(block, means, nearest)
            sums.add(block, nearest)
        means = sums.result()
        empty = np.flatnonzero(sums.counts == 0)
        means[empty] = decode(sample[np.argsort(-farness, kind="stable")[: len(empty)]])
    return means, farness


class Means:
    """Means of the tokens of each centroid, from blocks."""

    def __init__(self, centroids: Floats) -> None:
        """``centroids``: (centroids, dim), kept where no token comes."""
        self._kept = centroids
        self._sums = np.zeros(centroids.shape, np.float64)
        self.counts = np.zeros(len(centroids), np.int64)
        """(centroids,) tokens so far."""

    def add(self, tokens: Floats, nearest: Ints) -> None:
        """Take (tokens, dim) of the centroids ``nearest`` (tokens,) into account."""
        order = np.argsort(nearest, kind="stable")
        present, first = np.unique(nearest[order], return_index=True)
        self._sums[present] += np.add.reduceat(tokens[order], first, axis=0)
        self.counts += np.bincount(nearest, minlength=len(self.counts))

    def result(self) -> Floats:
        """(centroids, dim) float32."""
        means: Floats = (self._sums / np.maximum(self.counts, 1)[:, None]).astype(np.float32)
        return np.where(self.counts[:, None] > 0, means, self._kept)


def assign(tokens: Floats, centroids: Floats) -> Ints:
    """Per token the centroid in the nearest direction: (tokens, dim), (centroids, dim) float32 to (tokens,) int64."""
    steps = _steps(tokens)
    lengths = np.linalg.norm(centroids, axis=1, keepdims=True)
    scaled = centroids / np.where(lengths > 0, lengths, 1) * steps
    widest = float(np.abs(scaled).max(initial=0)) or 1.0
    columns = np.ascontiguousarray(np.rint(scaled * (63 / widest)).T.astype(np.int8))
    nearest = np.empty(len(tokens), np.int64)
    block = max(_BLOCK_PRODUCTS // len(centroids), 1)
    for start in range(0, len(tokens), block):
        rows = _unsigned(tokens[start : start + block], steps)
        (found,) = products().run(None, {"rows": rows, "columns": columns})
        found.argmax(axis=1, out=nearest[start : start + block])
        rest()
    return nearest


def distances(tokens: Floats, centroids: Floats, nearest: Ints) -> Floats:
    """Squared distance of each token to its centroid: (tokens,) float32."""
    found: Floats = ((tokens - centroids[nearest]) ** 2).sum(axis=1)
    return found


def even_sample(total: int, wanted: int) -> Ints:
    """An even sample of the numbers below ``total``, ascending: (``wanted`` or all of them,) int64."""
    return np.sort(np.random.default_rng(_SEED).choice(total, min(wanted, total), replace=False))


def _steps(vectors: Floats) -> Floats:
    """Per dimension the step with which the widest component becomes 127."""
    widest = np.abs(vectors).max(axis=0, initial=0)
    steps: Floats = (np.where(widest > 0, widest, 1) / 127).astype(np.float32)
    return steps


def _unsigned(vectors: Floats, steps: Floats) -> NDArray[np.uint8]:
    """Rounded to multiples of ``steps``, plus 128."""
    rounded = vectors / steps
    np.rint(rounded, out=rounded)
    rounded += 128
    return rounded.astype(np.uint8)
