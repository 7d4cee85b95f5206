"""From candidates to results: which documents may be scored, their scores, and the order of the best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.indexes.identifiers import checked_id
from latelite.indexes.snapshot import Mask, Snapshot
from latelite.maxsim import maxsim, maxsim_batch, rough_margin

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Payload = Mapping[str, Any] | None

_NEAR = 2e-6
"""Scores that differ by less than this, relative to the larger (and to 1), may differ by rounding alone."""
_ROUGHLY_FROM = 4
"""Documents per result; a segment of no more is scored with all bits at once."""


def nth_largest(scores: Floats, n: int) -> Any:
    """The ``n``-th largest of more than ``n`` scores: the least that still belongs to the ``n`` best."""
    return np.partition(scores, len(scores) - n)[len(scores) - n]


def accepted_documents(view: Snapshot, where: Callable[[Payload], bool]) -> list[Mask | None]:
    """Per segment the live documents whose payload ``where`` accepts."""
    masks: list[Mask | None] = []
    for segment in view.segments:
        mask = np.zeros(len(segment.files), np.bool_)
        for number in range(len(mask)) if segment.live is None else np.flatnonzero(segment.live).tolist():
            mask[number] = where(segment.files.payload(number))
        masks.append(mask)
    return masks


def allowed_documents(view: Snapshot, subset: Sequence[Any] | None, queries: int) -> list[list[Mask | None]]:
    """Per query and segment the documents that may be scored; None where all may.

    Raises:
        ValueError: one subset per query was given, but not as many as queries.
        TypeError: an id is neither a string nor an integer.
    """
    live = view.live_masks()
    if subset is None:
        return [live] * queries
    if isinstance(subset, str | bytes):
        raise TypeError("subset must be a list of ids, not one string.")
    if len(subset) and all(isinstance(ids, list | tuple | set | frozenset) for ids in subset):
        if len(subset) != queries:
            raise ValueError(f"{len(subset)} subsets for {queries} queries; pass one list of ids, or one per query.")
        return [list(view.masks([checked_id(i) for i in ids])) for ids in subset]
    return [list(view.masks([checked_id(i) for i in subset]))] * queries


def ranked(
    view: Snapshot,
    queries: Sequence[Floats],
    k: int,
    *,
    allowed: Sequence[Sequence[Mask | None]],
    chosen: Sequence[Sequence[Ints | None]],
) -> list[tuple[Ints, Floats]]:
    """Per query the index-wide numbers and scores of its ``k`` best documents, best first, ties as inserted.

    Args:
        allowed: per query and segment the documents that may be returned; None allows all.
        chosen: per query and segment the documents to score, ascending; None scores all that are allowed.
    """
    numbers: list[list[Ints]] = [[] for _ in queries]
    scores: list[list[Floats]] = [[] for _ in queries]
    for position, (segment, first) in enumerate(zip(view.segments, view.starts, strict=True)):
        files = segment.files
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
                numbers[number].append(kept + first)
                scores[number].append(row)
        for number, query in enumerate(queries):
            documents = chosen[number][position]
            if documents is None or not len(documents):
                continue
            numbers[number].append(documents + first)
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
        segment, document = view.locate(int(number[place]))
        files = segment.files
        alone = np.array([document])
        score[place] = maxsim(query, files.tokens, files.offsets, documents=alone, quantisation=files.quantisation)[0]
    order = np.lexsort((number, -score))
    return number[order], score[order]


def _tolerance(score: Any) -> Any:
    return _NEAR * np.maximum(np.abs(score), 1)
