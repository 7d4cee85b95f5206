"""The student's initial projection to fewer dimensions, computed from token vectors without training.

Its axes are the principal components. Rare subwords have more weight than frequent ones, since function words decide
few searches. The bias removes most of the mean, which all token vectors share: it has no information, and makes int8
storage less accurate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MEAN = 0.8
"""Share of the mean that the bias removes."""

Matrix = NDArray[np.float32]
Ids = NDArray[np.int64]


def fit_projection(vectors: Matrix, weights: NDArray[np.float64], dim: int) -> tuple[Matrix, Matrix]:
    """``(dim, hidden)`` weight and ``(dim,)`` bias of the projection, axes by decreasing variance.

    ``vectors`` is ``(tokens, hidden)``; ``weights``, ``(tokens,)``, weights the tokens. Signs are fixed by making the
    largest component of each axis positive.
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
    """Weight of each token: the inverse square root of its frequency, so that content words outweigh function words."""
    return 1 / np.sqrt(np.bincount(ids)[ids])
