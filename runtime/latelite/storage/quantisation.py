"""int8 codes for token vectors: one offset and one scale per dimension.

A component is ``offset + scale * code`` with a code from -127 to 127. Both numbers fold into the query
(`latelite.maxsim`), so the codes are scored without being rescaled. Per dimension, because token vectors of most
encoders are anisotropic: a few dimensions sit far from zero, and one scale for all would waste its steps on them.

A grid does not span all that occurs: rare components far out are clipped, so that the steps are smaller for all others.
Where to clip follows from the squared error, of rounding and clipping together (Banner et al., "Post training 4-bit
quantization of convolutional networks for rapid-deployment", NeurIPS 2019). On token vectors that takes a fifth off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats
from latelite.storage.priority import rest

Codes = NDArray[np.int8]

FIT_TOKENS = 16_384
"""Token vectors that a grid of its own takes. Fewer show too little of the range: they use the grid of a larger
segment, or stay float32 (8 MiB at most at 128 dimensions) until they are merged into one."""

_LEVELS = 127
_BINS = 256
"""Places where a grid may begin or end."""
_WORST_OVERSHOOT = 128.0
"""Steps by which a component may leave a known grid and still be clipped to it: half the grid's range ..."""
_CLIPPING = 0.25
"""... as long as clipping adds at most this share to the squared error that rounding makes anyway. The vectors that a
grid was fitted on add an eighth."""
_COARSENING = 4.0
"""How much wider than needed the steps of a grid may be (root mean square) before it is not shared any more."""


@dataclass(frozen=True)
class Grid:
    """The quantisation of one segment."""

    offset: Floats
    """(dim,)"""
    scale: Floats
    """(dim,), positive"""

    @classmethod
    def fit(cls, low: Floats, high: Floats) -> Grid:
        """The grid that spans ``low`` to ``high``, each (dim,)."""
        offset = ((low.astype(np.float64) + high) / 2).astype(np.float32)
        scale = ((high.astype(np.float64) - low) / (2 * _LEVELS)).astype(np.float32)
        # A constant dimension needs a positive scale; any will do, all of its codes are 0.
        return cls(offset, np.where(scale > np.finfo(np.float32).tiny, scale, np.float32(1.0)))

    @classmethod
    def from_array(cls, array: Floats) -> Grid:
        """From (2, dim) float32, offset and scale."""
        return cls(np.array(array[0]), np.array(array[1]))

    def to_array(self) -> Floats:
        """(2, dim) float32, offset and scale."""
        return np.stack([self.offset, self.scale])

    def encode(self, vectors: Floats) -> Codes:
        """(tokens, dim) float32 to int8 codes, rounded to nearest, clipped at the ends of the grid."""
        steps = vectors - self.offset
        steps /= self.scale
        np.rint(steps, out=steps)
        np.clip(steps, -_LEVELS, _LEVELS, out=steps)
        return steps.astype(np.int8)

    def decode(self, codes: Codes) -> Floats:
        """(tokens, dim) int8 codes to float32."""
        vectors = codes.astype(np.float32)
        vectors *= self.scale
        vectors += self.offset
        return vectors

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return np.array_equal(self.offset, other.offset) and np.array_equal(self.scale, other.scale)

    __hash__ = None  # type: ignore[assignment]


def best_grid(known: Grid | None, blocks: Callable[[], Iterable[Floats]]) -> Grid | None:
    """The grid for the vectors of a new segment; ``None`` where they are too few for one: they stay float32.

    The ``known`` grid, that of the largest segment, is kept as long as it fits, so that merging segments later copies
    their codes as they are. A component is so rounded once when it is stored, and again, by at most half a step, only
    when the corpus outgrows a grid that was fitted on `FIT_TOKENS` vectors or more: many merges do not add up.

    Args:
        blocks: gives the vectors, (tokens, dim) float32 at a time; called twice where a grid is fitted.
    """
    survey = _Survey(known)
    for block in blocks():
        survey.add(block)
        rest()
    if survey.low is None or survey.high is None:
        return None
    if survey.known_fits():
        return known
    if survey.tokens < FIT_TOKENS:
        return None
    tails = _Tails(survey.low, survey.high)
    for block in blocks():
        tails.add(block)
        rest()
    return tails.grid()


class _Survey:
    """The span of some vectors, and what a known grid would make of them."""

    def __init__(self, known: Grid | None) -> None:
        self.low: Floats | None = None
        self.high: Floats | None = None
        self.tokens = 0
        self._known = known
        self._worst = 0.0
        self._clipped = 0.0

    def add(self, block: Floats) -> None:
        """Take (tokens, dim) float32 into account."""
        low, high = block.min(axis=0), block.max(axis=0)
        self.low = low if self.low is None else np.minimum(self.low, low)
        self.high = high if self.high is None else np.maximum(self.high, high)
        self.tokens += len(block)
        if self._known is None:
            return
        # Only dimensions in which some vector leaves the grid are looked at one by one.
        out = np.maximum(high - self._known.offset, self._known.offset - low) > _LEVELS * self._known.scale
        if out.any():
            steps = np.abs(block[:, out] - self._known.offset[out]) / self._known.scale[out] - _LEVELS
            np.maximum(steps, 0, out=steps)
            self._worst = max(self._worst, float(steps.max()))
            self._clipped += float(((steps * self._known.scale[out]) ** 2).sum(dtype=np.float64))

    def known_fits(self) -> bool:
        """Whether there is a known grid, and it does for these vectors."""
        grid = self._known
        if grid is None or self.low is None or self.high is None:
            return False
        rounding = self.tokens * float((grid.scale.astype(np.float64) ** 2).sum()) / 12
        if self._worst > _WORST_OVERSHOOT or self._clipped > _CLIPPING * rounding:
            return False
        used = self.high > self.low
        needed = float((Grid.fit(self.low, self.high).scale[used] ** 2).sum())
        return not used.any() or float((grid.scale[used] ** 2).sum()) <= _COARSENING**2 * needed


class _Tails:
    """How often what occurs in each dimension: where a grid had best begin and end."""

    def __init__(self, low: Floats, high: Floats) -> None:
        self._low, self._high = low.astype(np.float64), high.astype(np.float64)
        self._width = np.where(high > low, self._high - self._low, 1.0) / _BINS
        self._counts = np.zeros(len(low) * _BINS, np.int64)

    def add(self, block: Floats) -> None:
        """Count (tokens, dim) float32."""
        bins = ((block - self._low) / self._width).astype(np.intp)
        np.clip(bins, 0, _BINS - 1, out=bins)
        bins += np.arange(len(self._low)) * _BINS
        self._counts += np.bincount(bins.ravel(), minlength=len(self._counts))

    def grid(self) -> Grid:
        """The grid with the least squared error."""
        edges = np.arange(_BINS + 1)
        ends = np.array([_best_ends(counts, edges) for counts in self._counts.reshape(-1, _BINS)]).T
        low, high = (np.clip(self._low + end * self._width, self._low, self._high) for end in ends)
        return Grid.fit(low.astype(np.float32), high.astype(np.float32))


def _best_ends(counts: NDArray[np.int64], edges: NDArray[np.int64]) -> tuple[int, int]:
    """Where a grid over these bins begins and ends, as edges: those with the least squared error, in squared bins."""
    middles = edges[:-1] + 0.5
    zeroth, first, second = (
        np.concatenate([[0.0], np.cumsum(counts * middles**power)]) for power in range(3)
    )  # of what lies below each edge
    below = edges**2 * zeroth - 2 * edges * first + second
    rest = edges**2 * (zeroth[-1] - zeroth) - 2 * edges * (first[-1] - first) + (second[-1] - second)
    steps = (edges[None, :] - edges[:, None]) / (2 * _LEVELS)
    error = below[:, None] + rest[None, :] + zeroth[-1] * steps**2 / 12
    error[edges[:, None] >= edges[None, :]] = np.inf
    begin, end = np.unravel_index(int(error.argmin()), error.shape)
    return int(begin), int(end)
