"""The kinds of index that the contract tests run on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from index_samples import topical
from latelite import indexes
from latelite.indexes.index import TokenIndex

# Thresholds are low, so that the approximate paths are taken with hundreds of documents, and candidates so many that
# nothing is missed. "scanned" is the approximate kind below its threshold.
KINDS: dict[str, Callable[..., TokenIndex]] = {
    "Exact": indexes.Exact,
    "Exact-float32": lambda *a, **o: indexes.Exact(*a, store="float32", **o),
    "HNSW": lambda *a, **o: indexes.HNSW(*a, graph_threshold=1, k_token=600, n_candidates=600, **o),
    "IVF": lambda *a, **o: indexes.IVF(*a, scan_threshold=1, n_centroids=32, n_probe=32, n_candidates=200, **o),
    "HNSW-scanned": lambda *a, **o: indexes.HNSW(*a, graph_threshold=10**9, **o),
}

Make = Callable[..., TokenIndex]
"""Opens the index of one test."""


def fill(index: TokenIndex, count: int = 60, *, step: int = 20) -> list[np.ndarray]:
    corpus = topical(count)
    for start in range(0, count, step):
        index.add_documents(list(range(start, start + step)), corpus[start : start + step])
    return corpus
