"""int8 codes for token vectors: one offset and one scale per dimension.

A component is ``offset + scale * code`` with a code from -127 to 127. Both numbers fold into the query
(`latelite.maxsim`), so the codes are scored without being rescaled. Per dimension, because token vectors of most
encoders are anisotropic: a few dimensions sit far from zero, and one scale for all would waste its steps on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Codes = NDArray[np.int8]

FIT_TOKENS = 16_384
"""Token vectors that a grid of its own takes. Fewer show too little of the range: they use the grid of a larger
segment, or stay float32 (8 MiB at most at 128 dimensions) until they are merged into one."""

_LEVELS = 127
_MAX_OVERSHOOT = 4.0
"""Steps by which vectors may leave a grid and still be clipped to it: 1.6 % of the grid's range."""
_MAX_COARSENING = 4.0
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

    @property
    def low(self) -> Floats:
        return self.offset - _LEVELS * self.scale

    @property
    def high(self) -> Floats:
        return self.offset + _LEVELS * self.scale

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

    def suits(self, low: Floats, high: Floats) -> bool:
        """Whether vectors within ``low`` to ``high`` may use this grid instead of one of their own."""
        overshoot = np.maximum((self.low - low) / self.scale, (high - self.high) / self.scale).max()
        own = Grid.fit(low, high)
        used = high > low
        coarsening = float(np.sqrt((self.scale[used] ** 2).sum() / max(float((own.scale[used] ** 2).sum()), 1e-30)))
        return bool(overshoot <= _MAX_OVERSHOOT) and (coarsening <= _MAX_COARSENING or not used.any())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return np.array_equal(self.offset, other.offset) and np.array_equal(self.scale, other.scale)

    __hash__ = None  # type: ignore[assignment]


def choose_grid(known: Sequence[Grid], low: Floats, high: Floats, tokens: int) -> Grid | None:
    """The grid for a new segment of ``tokens`` vectors within ``low`` to ``high``; None keeps it float32.

    The first of the ``known`` grids that suits, so that merging segments later copies their codes as they are; else a
    grid of its own. A component is so rounded once when it is stored, and again, by at most half a step, only when
    the corpus outgrows a grid that was fitted on `FIT_TOKENS` vectors or more: many merges do not add up.
    """
    for grid in known:
        if grid.suits(low, high):
            return grid
    return Grid.fit(low, high) if known or tokens >= FIT_TOKENS else None
