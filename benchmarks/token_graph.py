"""An HNSW graph over all token vectors in float32, like PyLate's Voyager index: the baseline of ``index.py``.

Uses Voyager if installed, else hnswlib, of which it is a fork, with the defaults of PyLate 1.6.0: space cosine, M 64,
ef_construction 200, ef_search 200 (``pylate/indexes/voyager.py``), 100 tokens per query token (``default_k_token`` in
``pylate/retrieve/colbert.py``); all documents of these tokens are reranked with their vectors from the graph. PyLate
reranks with torch, this module with `latelite.maxsim`, so that rows of the benchmark differ only in candidates and
memory. PyLate also reads its maps between documents and tokens from pickle files at every query; this module does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latelite.cpus import usable_cpus
from latelite.maxsim import maxsim_documents

M = 64
EF_CONSTRUCTION = 200
EF_SEARCH = 200
K_TOKEN = 100
_AT_ONCE = 64
"""Number of documents added together."""


class TokenGraph:
    """An index that is written once by `add_documents`, then opened from its folder."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._graph: Any = None
        offsets = self._folder / "offsets.npy"
        if offsets.exists():
            self._offsets = np.load(offsets)
            self._graph = _load(self._folder / "graph.bin", int(np.load(self._folder / "dim.npy")))

    def add_documents(self, ids: Sequence[int], documents: Sequence[np.ndarray]) -> None:
        """Build the graph; ``ids`` must be 0, 1, ..."""
        if list(ids) != list(range(len(documents))):
            raise ValueError("documents are numbered from 0")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._offsets = np.cumsum([0, *map(len, documents)])
        dim = documents[0].shape[1]
        self._graph = _build(documents, dim, int(self._offsets[-1]))
        self._graph.save(str(self._folder / "graph.bin"))
        np.save(self._folder / "dim.npy", dim)
        np.save(self._folder / "offsets.npy", self._offsets)

    def __call__(self, queries: Sequence[np.ndarray], k: int) -> list[list[dict[str, Any]]]:
        results = []
        for query in queries:
            numbers = self._candidates(query)
            scores = self._rerank(query, numbers)
            order = np.argsort(-scores, kind="stable")[:k]
            results.append([{"id": int(numbers[i]), "score": float(scores[i])} for i in order])
        return results

    def _candidates(self, query: np.ndarray) -> np.ndarray:
        tokens = self._graph.nearest(query)
        return np.unique(np.searchsorted(self._offsets, tokens.ravel(), side="right") - 1)

    def _rerank(self, query: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return maxsim_documents(
            query, [self._graph.vectors(np.arange(self._offsets[n], self._offsets[n + 1])) for n in numbers]
        )


class _Voyager:
    def __init__(self, graph: Any) -> None:
        self._graph = graph

    def save(self, path: str) -> None:
        self._graph.save(path)

    def nearest(self, query: np.ndarray) -> np.ndarray:
        found: np.ndarray = self._graph.query(query, k=K_TOKEN, query_ef=EF_SEARCH, num_threads=1)[0]
        return found.astype(np.int64)

    def vectors(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(self._graph.get_vectors(numbers.tolist()), np.float32)


class _Hnswlib:
    def __init__(self, graph: Any) -> None:
        self._graph = graph
        graph.set_ef(EF_SEARCH)

    def save(self, path: str) -> None:
        self._graph.save_index(path)

    def nearest(self, query: np.ndarray) -> np.ndarray:
        found: np.ndarray = self._graph.knn_query(query, k=K_TOKEN, num_threads=1)[0]
        return found.astype(np.int64)

    def vectors(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(self._graph.get_items(numbers), np.float32)


def library() -> str:
    """The library that is used: voyager or hnswlib."""
    try:
        import voyager  # noqa: F401
    except ImportError:
        return "hnswlib"
    return "voyager"


def _build(documents: Sequence[np.ndarray], dim: int, tokens: int) -> _Voyager | _Hnswlib:
    if library() == "voyager":
        import voyager

        graph = voyager.Index(
            voyager.Space.Cosine, num_dimensions=dim, M=M, ef_construction=EF_CONSTRUCTION, max_elements=tokens
        )
        for block in _blocks(documents):
            graph.add_items(block, num_threads=usable_cpus())
        return _Voyager(graph)
    import hnswlib

    graph = hnswlib.Index(space="cosine", dim=dim)
    graph.init_index(tokens, M=M, ef_construction=EF_CONSTRUCTION)
    for block in _blocks(documents):
        graph.add_items(block, num_threads=usable_cpus())
    return _Hnswlib(graph)


def _blocks(documents: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """All tokens in order, in writable copies of some documents each: Voyager refuses read-only memory maps."""
    for start in range(0, len(documents), _AT_ONCE):
        yield np.concatenate(documents[start : start + _AT_ONCE])


def _load(path: Path, dim: int) -> _Voyager | _Hnswlib:
    if library() == "voyager":
        import voyager

        return _Voyager(voyager.Index.load(str(path)))
    import hnswlib

    graph = hnswlib.Index(space="cosine", dim=dim)
    graph.load_index(str(path))
    return _Hnswlib(graph)
