"""A projection to fewer dimensions from token vectors, without training: the student's first one.

The axes are the principal components. Rare pieces count more than frequent ones, since function words decide few
searches. The bias takes away most of the overall mean: it is common to all token vectors, carries nothing, and makes
int8 storage worse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MEAN = 0.8
"""Share of the mean that the bias removes."""

Matrix = NDArray[np.float32]
Ids = NDArray[np.int64]


def fit_projection(vectors: Matrix, weights: NDArray[np.float64], dim: int) -> tuple[Matrix, Matrix]:
    """``(dim, hidden)`` weight and ``(dim,)`` bias of the projection, axes by falling variance.

    ``vectors`` is ``(tokens, hidden)``, ``weights`` ``(tokens,)`` how much a token counts. The sign of an axis is fixed
    by its largest component, so that equal input gives equal output.
    """
    vectors = vectors.astype(np.float64)
    weights = weights / weights.sum()
    mean = weights @ vectors
    residual = vectors - mean
    _, axes = np.linalg.eigh((residual * weights[:, None]).T @ residual)
    weight = axes[:, ::-1][:, :dim].T
    weight = weight * np.sign(weight[np.arange(len(weight)), np.abs(weight).argmax(axis=1)])[:, None]
    return np.ascontiguousarray(weight, dtype=np.float32), (-MEAN * weight @ mean).astype(np.float32)


def rarity(ids: Ids) -> NDArray[np.float64]:
    """Weight of each token, one over the root of how often its piece occurs: content words before function words."""
    return 1 / np.sqrt(np.bincount(ids)[ids])
