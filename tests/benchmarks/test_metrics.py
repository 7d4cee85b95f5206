"""The metrics equal those of an established implementation."""

from __future__ import annotations

import random

import ir_measures
import metrics
import pytest


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_ir_measures(seed: int) -> None:
    rng = random.Random(seed)
    documents = [f"d{i}" for i in range(150)]
    qrels = {
        f"q{i}": {d: rng.choice([1, 1, 2, 3]) for d in rng.sample(documents, rng.randint(1, 12))} for i in range(20)
    }
    rankings = {query: rng.sample(documents, 120) for query in list(qrels)[:-1]}  # the last query found nothing
    scores = {query: {d: -float(rank) for rank, d in enumerate(ranking)} for query, ranking in rankings.items()}
    names = {"ndcg@10": ir_measures.nDCG @ 10, "recall@100": ir_measures.R @ 100, "mrr@10": ir_measures.RR @ 10}
    expected = ir_measures.calc_aggregate(names.values(), qrels, scores)
    assert metrics.evaluate(rankings, qrels) == pytest.approx(
        {name: expected[m] for name, m in names.items()}, abs=1e-9
    )


def test_perfect_and_empty_rankings() -> None:
    qrels = {"q": {"a": 2, "b": 1}}
    assert metrics.evaluate({"q": ["a", "b"]}, qrels) == {"ndcg@10": 1.0, "recall@100": 1.0, "mrr@10": 1.0}
    assert metrics.evaluate({}, qrels) == {"ndcg@10": 0.0, "recall@100": 0.0, "mrr@10": 0.0}
