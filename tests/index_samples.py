"""Small corpora of token vectors, ranked by the definition of MaxSim, for the tests of MaxSim and the indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.maxsim.plain import plain_maxsim

DIM = 16

Floats = NDArray[np.float32]


def documents(count: int, *, seed: int = 0, dim: int = DIM, longest: int = 30) -> list[Floats]:
    """Documents of 1 to ``longest`` tokens, (tokens, dim) each, L2-normalised and anisotropic like an encoder's."""
    rng = np.random.default_rng(seed)
    mean = np.random.default_rng(99).standard_normal(dim)
    made = []
    for length in rng.integers(1, longest + 1, count):
        tokens = rng.standard_normal((length, dim)) + 0.5 * mean
        tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
        made.append(tokens.astype(np.float32))
    return made


def topical(count: int, *, seed: int = 0, dim: int = DIM, topics: int = 40, longest: int = 30) -> list[Floats]:
    """Documents whose tokens cluster around a few of many topics, as real ones do."""
    centres = np.random.default_rng(7).standard_normal((topics, dim))
    rng = np.random.default_rng(seed)
    made = []
    for length in rng.integers(3, longest + 1, count):
        tokens = centres[rng.choice(topics, 3)][rng.integers(0, 3, length)] + 0.4 * rng.standard_normal((length, dim))
        tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
        made.append(tokens.astype(np.float32))
    return made


def naive_ranking(query: Floats, ids: Sequence[Any], corpus: Sequence[Floats], k: int) -> list[Any]:
    """Ids of the ``k`` best documents; equal scores in the given order."""
    scores = np.array([plain_maxsim(query, document) for document in corpus])
    return [ids[number] for number in np.argsort(-scores, kind="stable")[:k]]


def ids_of(hits: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [hit["id"] for hit in hits]
