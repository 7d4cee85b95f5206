"""Ranking metrics, per query and averaged; equal to trec_eval's for rankings without ties."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

Ranking = Sequence[str]
"""Document ids, best first."""


def ndcg(ranking: Ranking, relevant: Mapping[str, int], k: int) -> float:
    """Normalised discounted cumulative gain at ``k`` with linear gain (Järvelin and Kekäläinen 2002)."""
    gains = (relevant.get(document, 0) for document in ranking[:k])
    ideal = sorted(relevant.values(), reverse=True)[:k]
    return _discounted_gain(gains) / _discounted_gain(ideal) if ideal else 0.0


def recall(ranking: Ranking, relevant: Mapping[str, int], k: int) -> float:
    """Share of the relevant documents among the first ``k``."""
    return sum(document in relevant for document in ranking[:k]) / len(relevant)


def reciprocal_rank(ranking: Ranking, relevant: Mapping[str, int], k: int) -> float:
    """1 / rank of the first relevant document; 0 if it is not among the first ``k``."""
    return next((1 / rank for rank, document in enumerate(ranking[:k], start=1) if document in relevant), 0.0)


METRICS = {"ndcg@10": (ndcg, 10), "recall@100": (recall, 100), "mrr@10": (reciprocal_rank, 10)}


def per_query(rankings: Mapping[str, Ranking], qrels: Mapping[str, Mapping[str, int]], name: str) -> dict[str, float]:
    """One of `METRICS` for each query of ``qrels``; a query without a ranking counts 0."""
    metric, k = METRICS[name]
    return {query: metric(rankings.get(query, ()), relevant, k) for query, relevant in qrels.items()}


def evaluate(rankings: Mapping[str, Ranking], qrels: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """Mean of each of `METRICS` over all queries of ``qrels``."""
    return {name: sum(per_query(rankings, qrels, name).values()) / len(qrels) for name in METRICS}


def _discounted_gain(gains: Iterable[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
