"""Retrieval from an index, with PyLate's interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.indexes.index import TokenIndex
from latelite.rank import RerankResult

Vectors = NDArray[np.float32]


class ColBERT:
    """Retrieves from any index of `latelite.indexes`. One object may be used from several threads.

    Args:
        index: finds candidates and scores them by MaxSim.
    """

    def __init__(self, index: TokenIndex) -> None:
        self.index = index

    def retrieve(
        self,
        queries_embeddings: Sequence[Vectors] | Vectors,
        k: int = 10,
        k_token: int | None = None,
        device: Any = None,
        batch_size: int | None = None,
        subset: Sequence[int | str] | Sequence[Sequence[int | str]] | None = None,
    ) -> list[list[RerankResult]]:
        """The best ``k`` documents of each query, best first.

        Args:
            queries_embeddings: for each query, (tokens, dim) float32; a single 2-D array is one query.
            k: results per query; fewer only if there are fewer documents.
            k_token: number of nearest index tokens per query token that give candidates, for `latelite.indexes.HNSW`;
                None: the index's own setting. Other kinds ignore it.
            device, batch_size: accepted for compatibility with PyLate, without effect.
            subset: ids to search among: one list for all queries, or one list per query. It restricts candidates before
                scoring (PyLate ignores it for token indexes).
        """
        results = self.index(queries_embeddings, k=k, subset=subset, k_token=k_token)
        return [[RerankResult(id=hit["id"], score=hit["score"]) for hit in hits] for hits in results]
