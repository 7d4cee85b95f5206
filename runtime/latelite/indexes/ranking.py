"""From candidates to results: which documents may be scored, their scores, and the order of the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats, Ints, Mask
from latelite.maxsim import maxsim, maxsim_batch, rough_margin
from latelite.storage.snapshot import Snapshot

_NEAR = 2e-6
"""Scores that differ by less than this, relative to the larger (and to 1), may differ by rounding alone."""
_QUERIES_AT_ONCE = 16
"""Queries that share one pass over the vectors; a bound on the memory that their scores take."""
_ROUGHLY_FROM = 4
"""Documents per result; a segment of no more is scored with all bits at once."""


def nth_largest(scores: Floats, n: int) -> Any:
    """The ``n``-th largest of more than ``n`` scores: the least that still belongs to the ``n`` best."""
    return np.partition(scores, len(scores) - n)[len(scores) - n]


def ranked(
    view: Snapshot,
    queries: Sequence[Floats],
    k: int,
    *,
    allowed: Sequence[Sequence[Mask | None]],
    chosen: Sequence[Sequence[Ints | None]],
) -> list[tuple[Ints, Floats]]:
    """Per query the numbers and scores of its ``k`` best documents, best first, ties as inserted.

    Args:
        allowed: per query and part the documents that may be returned; None allows all.
        chosen: per query and part the documents to score, ascending; None scores all that are allowed.
    """
    numbers: list[list[Ints]] = [[] for _ in queries]
    scores: list[list[Floats]] = [[] for _ in queries]
    for position, files in enumerate(view.parts):
        scanned = [number for number in range(len(queries)) if chosen[number][position] is None]
        if scanned:  # one pass over the store for all of them
            batch = [queries[number] for number in scanned]
            rough = files.quantisation if len(files) > _ROUGHLY_FROM * k else None
            rows = maxsim_batch(
                batch, files.tokens, files.offsets, quantisation=files.quantisation, rough=rough is not None
            )
            for number, row in zip(scanned, rows, strict=True):
                mask = allowed[number][position]
                kept = np.arange(len(files)) if mask is None else np.flatnonzero(mask)
                row = row[kept]
                if rough is not None:
                    kept, row = near_best(queries[number], files.tokens, files.offsets, k, kept, row, rough)
                numbers[number].append(files.numbers[kept])
                scores[number].append(row)
        for number, query in enumerate(queries):
            documents = chosen[number][position]
            if documents is None or not len(documents):
                continue
            numbers[number].append(files.numbers[documents])
            scores[number].append(
                maxsim(query, files.tokens, files.offsets, documents=documents, quantisation=files.quantisation)
            )
    return [_best(view, query, n, s, k) for query, n, s in zip(queries, numbers, scores, strict=True)]


def near_best(
    query: Floats, tokens: NDArray[Any], offsets: Ints, k: int, documents: Ints, rough: Floats, quantisation: Floats
) -> tuple[Ints, Floats]:
    """Those of ``documents`` that may be among their ``k`` best, and their scores, from ``rough`` scores of all.

    Scoring roughly first takes two thirds of the time, for a few times ``k`` documents are left.

    Args:
        documents: (documents,) int64, ascending.
        rough: (documents,) float32, what `maxsim` with ``rough`` gives for them.

    Other arguments and errors as `maxsim`.

    Returns:
        (at least min(k, documents),) int64 of ``documents``, ascending, and their scores, float32.
    """
    if len(documents) > k:
        documents = documents[rough >= nth_largest(rough, k) - rough_margin(query, tokens, quantisation)]
    return documents, maxsim(query, tokens, offsets, documents=documents, quantisation=quantisation)


def _best(
    view: Snapshot, query: Floats, numbers: Sequence[Ints], scores: Sequence[Floats], k: int
) -> tuple[Ints, Floats]:
    if not numbers:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    number, score = np.concatenate(numbers), np.concatenate(scores)
    if len(score) > k:
        # Whatever may tie with the k-th stays in until ties have been put in order.
        border = nth_largest(score, k)
        kept = np.flatnonzero(score >= border - _tolerance(border))
        number, score = number[kept], score[kept]
    order = np.argsort(-score, kind="stable")
    number, score = _settled(view, query, number[order], score[order])
    return number[:k], score[:k]


def _settled(view: Snapshot, query: Floats, number: Ints, score: Floats) -> tuple[Ints, Floats]:
    """Put near-ties in order: by their scores when each document is scored alone, then by insertion.

    A product rounds by where a row lies in it (see `latelite.maxsim`). Alone, every document lies in the same place,
    so equal documents get equal bits.
    """
    near = score[:-1] - score[1:] <= _tolerance(score[:-1])
    if not near.any():
        return number, score
    score = score.copy()
    for place in np.flatnonzero(np.append(near, False) | np.append(False, near)).tolist():
        files, document = view.locate(int(number[place]))
        alone = np.array([document])
        score[place] = maxsim(query, files.tokens, files.offsets, documents=alone, quantisation=files.quantisation)[0]
    order = np.lexsort((number, -score))
    return number[order], score[order]


def _tolerance(score: Any) -> Any:
    return _NEAR * np.maximum(np.abs(score), 1)


def rank(
    kind: Any, view: Snapshot, queries: Sequence[Floats], k: int, allowed: Sequence[Sequence[Mask | None]]
) -> list[tuple[Ints, Floats]]:
    """`ranked` over the candidates of a kind of index, some queries at a time."""
    results: list[tuple[Ints, Floats]] = []
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        batch, masks = queries[start : start + _QUERIES_AT_ONCE], allowed[start : start + _QUERIES_AT_ONCE]
        chosen = [kind.candidates(view, query, k, mask) for query, mask in zip(batch, masks, strict=True)]
        results += ranked(view, batch, k, allowed=masks, chosen=chosen)
    return results
