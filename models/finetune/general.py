"""General pairs against forgetting, with the base's own scores as distillation targets.

The default is the exporter's texts in seven languages; some hundred pairs of general text are better.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from finetune.data import Questions
from latelite.mining import Pair
from latelite_export import texts

WAYS = 3
"""Documents scored for a query: its own and others in its language."""


def shipped() -> tuple[list[Pair], list[Questions]]:
    """The exporter's texts as training pairs and evaluation questions per language; no text is in both."""
    pairs, questions = [], []
    for collection in texts.collections():
        learnt, judged = collection.calibration(), collection.judging()
        for query, document in zip(learnt.queries, learnt.documents, strict=False):
            pairs.append(Pair(query, document, language=collection.language))
        corpus = {str(n): text for n, text in enumerate(judged.documents)}
        queries = {str(n): text for n, text in enumerate(judged.queries)}
        questions.append(
            Questions(f"general {collection.language}", corpus, queries, {id_: {id_: 1} for id_ in queries})
        )
    return pairs, questions


def scored(pairs: Sequence[Pair], base: Any, count: int, seed: int) -> list[dict[str, Any]]:
    """Rows for PyLate's distillation: ``query``, ``documents`` and the base's ``scores``.

    Args:
        pairs: general pairs.
        base: PyLate's model, before training.
        count: number of rows; with fewer pairs, each is used several times with different documents.
        seed: of the random choices.
    """
    draw = random.Random(seed)
    texts_ = list(dict.fromkeys(pair.positive for pair in pairs))
    by_language: dict[str, list[str]] = {}
    for pair in pairs:
        by_language.setdefault(pair.language, []).append(pair.positive)
    queries = list(dict.fromkeys(pair.query for pair in pairs))
    vectors = dict(zip(texts_, base.encode(texts_, is_query=False, convert_to_tensor=True), strict=True))
    asked = dict(zip(queries, base.encode(queries, is_query=True, convert_to_tensor=True), strict=True))
    rows: list[dict[str, Any]] = []
    order: list[Pair] = []
    while len(rows) < count:
        if not order:
            order = draw.sample(list(pairs), len(pairs))
        pair = order.pop()
        others = [text for text in by_language[pair.language] if text != pair.positive]
        if len(others) < WAYS - 1:
            others = [text for text in texts_ if text != pair.positive]
        documents = [pair.positive, *draw.sample(others, WAYS - 1)]
        scores = [float((asked[pair.query] @ vectors[text].T).max(dim=1).values.sum()) for text in documents]
        rows.append({"query": pair.query, "documents": documents, "scores": scores})
    return rows
