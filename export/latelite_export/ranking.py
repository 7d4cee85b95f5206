"""Agreement of the rankings by two encodings of the same texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

TOP = 10
NEAR_TIE = 1e-3
"""Relative score difference below which documents may swap ranks. At rank ten of a hundred documents there are many
such pairs, and their order is noise in the exact ranking too."""


def overlap(exact: Vectors, rough: Vectors, tolerance: float = NEAR_TIE) -> list[float]:
    """For each query, the share of the approximate top ten that is in the exact top ten.

    Args:
        exact: scores (queries, documents).
        rough: approximate scores (queries, documents).
        tolerance: a document counts as in the exact top ten if its score is within this share of the tenth's.
    """
    shares = []
    for scores, rough_scores in zip(exact, rough, strict=True):
        tenth = np.sort(scores)[-TOP]
        best = np.argsort(-rough_scores, kind="stable")[:TOP]
        shares.append(float(np.mean(scores[best] >= tenth - tolerance * abs(tenth))))
    return shares


def maxsim(queries: Sequence[Vectors], documents: Sequence[Vectors]) -> Vectors:
    """Scores (queries, documents) of token vectors, each text (tokens, dim).

    A second implementation on purpose: the choice of the int8 plan must not depend on the runtime.
    """
    starts = np.cumsum([0, *(len(document) for document in documents[:-1])])
    flat = np.concatenate(documents).T
    return np.stack([np.maximum.reduceat(query @ flat, starts, axis=1).sum(axis=0) for query in queries])
