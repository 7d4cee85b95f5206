"""Whether two encodings of the same texts rank documents alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

TOP = 10
NEAR_TIE = 1e-3
"""Documents whose exact scores differ by less than this share of the score may change places: at rank ten of a hundred
documents there are many such pairs, and which of the two comes first is noise in the exact ranking too."""


def overlap(exact: Vectors, rough: Vectors, tolerance: float = NEAR_TIE) -> list[float]:
    """Per query the share of the rough best ten documents that are among the exact best ten.

    Args:
        exact: scores (queries, documents).
        rough: scores (queries, documents).
        tolerance: a document whose exact score is within this share of the tenth counts as among them.
    """
    shares = []
    for scores, rough_scores in zip(exact, rough, strict=True):
        tenth = np.sort(scores)[-TOP]
        best = np.argsort(-rough_scores, kind="stable")[:TOP]
        shares.append(float(np.mean(scores[best] >= tenth - tolerance * abs(tenth))))
    return shares


def maxsim(queries: Sequence[Vectors], documents: Sequence[Vectors]) -> Vectors:
    """Scores (queries, documents) of token vectors, each text (tokens, dim).

    The runtime has its own; this one serves the exporter's search for a plan, which must not depend on the runtime.
    """
    starts = np.cumsum([0, *(len(document) for document in documents[:-1])])
    flat = np.concatenate(documents).T
    return np.stack([np.maximum.reduceat(query @ flat, starts, axis=1).sum(axis=0) for query in queries])
