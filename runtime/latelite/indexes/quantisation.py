"""int8 codes for token vectors: one offset and one scale per dimension.

A component is ``offset + scale * code`` with a code from -127 to 127. Both numbers fold into the query
(`latelite.maxsim`), so the codes are scored without being rescaled. Per dimension, because token vectors of most
encoders are anisotropic: a few dimensions sit far from zero, and one scale for all would waste its steps on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Codes = NDArray[np.int8]

FIT_TOKENS = 16_384
"""Token vectors that a grid of its own takes. Fewer show too little of the range: they use the grid of a larger
segment, or stay float32 (8 MiB at most at 128 dimensions) until they are merged into one."""

_LEVELS = 127
_WORST_OVERSHOOT = 64.0
"""Steps by which a component may leave a grid and still be clipped to it: a quarter of the grid's range ..."""
_CLIPPING = 0.25
"""... as long as clipping adds at most this share to the squared error that rounding makes anyway."""
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


class Survey:
    """Looks at the vectors of a new segment, block by block, and decides on their grid.

    The ``known`` grid, that of the largest segment, is kept as long as it fits, so that merging segments later copies
    their codes as they are. A component is so rounded once when it is stored, and again, by at most half a step, only
    when the corpus outgrows a grid that was fitted on `FIT_TOKENS` vectors or more: many merges do not add up.
    """

    def __init__(self, known: Grid | None) -> None:
        self._known = known
        self._low: Floats | None = None
        self._high: Floats | None = None
        self._tokens = 0
        self._worst = 0.0
        self._clipped = 0.0

    def add(self, block: Floats) -> None:
        """Take (tokens, dim) float32 into account."""
        low, high = block.min(axis=0), block.max(axis=0)
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)
        self._tokens += len(block)
        if self._known is None:
            return
        # Only dimensions in which some vector leaves the grid are looked at one by one.
        out = np.maximum(high - self._known.offset, self._known.offset - low) > _LEVELS * self._known.scale
        if out.any():
            steps = np.abs(block[:, out] - self._known.offset[out]) / self._known.scale[out] - _LEVELS
            np.maximum(steps, 0, out=steps)
            self._worst = max(self._worst, float(steps.max()))
            self._clipped += float(((steps * self._known.scale[out]) ** 2).sum(dtype=np.float64))

    def grid(self) -> Grid | None:
        """The known grid where it fits, else one of their own; None when they are too few for that: float32."""
        if self._low is None or self._high is None:
            return None
        if self._known is not None and self._fits(self._known, self._low, self._high):
            return self._known
        return Grid.fit(self._low, self._high) if self._tokens >= FIT_TOKENS else None

    def _fits(self, grid: Grid, low: Floats, high: Floats) -> bool:
        rounding = self._tokens * float((grid.scale.astype(np.float64) ** 2).sum()) / 12
        if self._worst > _WORST_OVERSHOOT or self._clipped > _CLIPPING * rounding:
            return False
        used = high > low
        needed = float((Grid.fit(low, high).scale[used] ** 2).sum())
        return not used.any() or float((grid.scale[used] ** 2).sum()) <= _COARSENING**2 * needed
