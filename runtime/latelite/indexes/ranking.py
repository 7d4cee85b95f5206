"""From candidates to results: the scores of those documents that may be among the best, and their order.

A document's total is its MaxSim, plus what its words count where a query says so. Segments that are scanned are scored
with a query of 7 bits first. What such a score is off by has a proven bound, so everything that may still be among the
best is scored with all bits, and nothing is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats, Ints, Mask, distinct
from latelite.maxsim import maxsim, maxsim_batch, rough_error
from latelite.storage.snapshot import OpenSegment, Snapshot

_NEAR = 2e-6
"""Scores of float32 vectors that differ by less than this, relative to the larger (and to 1), may differ by rounding
alone. Those of int8 codes are whole numbers until the last step, and equal documents have equal ones."""
_QUERIES_AT_ONCE = 16
"""Queries that share one pass over the vectors; a bound on the memory that their scores take."""
_ROUGHLY_FROM = 4
"""Documents per result; a segment of no more is scored with all bits at once."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Query:
    """What is asked of a snapshot."""

    vectors: Floats
    """(query tokens, dim)"""
    allowed: Sequence[Mask | None]
    """Per part the documents that may be returned; None where all may."""
    words: Sequence[Floats] | None = None
    """Per part (documents,) what is added to their MaxSim."""
    candidates: Sequence[Ints] | None = None
    """Per part documents, ascending, that are scored beside those that the kind of index finds."""
    n_candidates: int = 0
    """Results that the kind of index finds candidates for, at least."""


@dataclass(frozen=True)
class Ranking:
    """The best documents, best first; of equal ones those that were added earlier."""

    numbers: Ints
    totals: Doubles
    maxsims: Doubles
    """What the vectors count of the total."""


def nth_largest(scores: NDArray[Any], n: int) -> Any:
    """The ``n``-th largest of at least ``n`` scores: the least that still belongs to the ``n`` best."""
    return np.partition(scores, len(scores) - n)[len(scores) - n]


def rank(kind: Any, view: Snapshot, queries: Sequence[Query], k: int) -> list[Ranking]:
    """The ``k`` best documents of each query, among those that are allowed.

    Args:
        kind: finds the candidates, see `latelite.storage.kind.IndexKind`.
    """
    results: list[Ranking] = []
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        batch = queries[start : start + _QUERIES_AT_ONCE]
        chosen = [_candidates(kind, view, query, k) for query in batch]
        rankings = [_Candidates(view, query, k) for query in batch]
        for position, part in enumerate(view.parts):
            scanning = [number for number in range(len(batch)) if chosen[number][position] is None]
            rough = part.quantisation is not None and len(part) > _ROUGHLY_FROM * k
            if scanning:  # one pass over the vectors for all of them
                rows = maxsim_batch(
                    [batch[number].vectors for number in scanning],
                    part.tokens,
                    part.offsets,
                    quantisation=part.quantisation,
                    rough=rough,
                )
                for number, row in zip(scanning, rows, strict=True):
                    rankings[number].add_scan(position, row, rough=rough)
            for number, documents in enumerate(each[position] for each in chosen):
                if documents is not None:
                    rankings[number].score(position, documents)
        results += [ranking.best() for ranking in rankings]
    return results


def _candidates(kind: Any, view: Snapshot, query: Query, k: int) -> list[Ints | None]:
    """Per part the documents to score; None scans it."""
    found: list[Ints | None] = kind.candidates(view, query.vectors, max(k, query.n_candidates), query.allowed)
    if query.candidates is None:
        return found
    return [
        None if one is None else distinct(np.concatenate([one, other]))
        for one, other in zip(found, query.candidates, strict=True)
    ]


class _Candidates:
    """Documents with their scores, for one query."""

    def __init__(self, view: Snapshot, query: Query, k: int) -> None:
        self._view = view
        self._query = query
        self._k = k
        self._places: list[tuple[int, Ints]] = []
        self._maxsims: list[Doubles] = []
        self._rough: list[tuple[int, Ints, Doubles, float]] = []

    def score(self, position: int, documents: Ints) -> None:
        """Score documents of a part with all bits."""
        if len(documents):
            part = self._view.parts[position]
            scores = maxsim(
                self._query.vectors, part.tokens, part.offsets, documents=documents, quantisation=part.quantisation
            )
            self._add(position, documents, scores)

    def add_scan(self, position: int, scores: Floats, *, rough: bool) -> None:
        """Take the scores of all documents of a part, with all bits or ``rough``."""
        part, mask = self._view.parts[position], self._query.allowed[position]
        documents = np.arange(len(part)) if mask is None else np.flatnonzero(mask)
        if not len(documents):
            return
        if not rough:
            self._add(position, documents, scores[documents])
            return
        assert isinstance(part, OpenSegment)
        assert part.quantisation is not None
        totals = scores[documents] + self._words(position, documents)
        error = rough_error(self._query.vectors, part.quantisation, part.files.longest)
        # float32 rounds what is large: that is a part of the error, too.
        error += 1e-6 * float(np.abs(scores[documents]).max(initial=1.0))
        # These are among the best as a rule. Their scores say what the others have to reach.
        first = documents
        if len(documents) > self._k:
            first = documents[np.sort(np.argpartition(-totals, self._k - 1)[: self._k])]
        self.score(position, first)
        left = ~np.isin(documents, first, assume_unique=True)
        self._rough.append((position, documents[left], totals[left], error))

    def best(self) -> Ranking:
        """The result, once all parts have been looked at."""
        totals = self._totals()
        least = float(nth_largest(totals, self._k)) if len(totals) >= self._k else -np.inf
        for position, documents, rough, error in self._rough:
            self.score(position, documents[rough + error >= least])
        if not self._places:
            return Ranking(np.empty(0, np.int64), np.empty(0), np.empty(0))
        totals, maxsims = self._totals(), np.concatenate(self._maxsims)
        positions = np.concatenate([np.full(len(documents), position) for position, documents in self._places])
        documents = np.concatenate([documents for _, documents in self._places])
        if len(totals) > self._k:
            border = float(nth_largest(totals, self._k))
            kept = totals >= border - _tolerance(border)
            totals, maxsims, positions, documents = totals[kept], maxsims[kept], positions[kept], documents[kept]
        self._settle(positions, documents, totals, maxsims)
        numbers = np.empty(len(documents), np.int64)
        for position in distinct(positions).tolist():
            here = positions == position
            numbers[here] = self._view.parts[position].numbers[documents[here]]
        order = np.lexsort((numbers, -totals))[: self._k]
        return Ranking(numbers[order], totals[order], maxsims[order])

    def _add(self, position: int, documents: Ints, scores: Floats) -> None:
        self._places.append((position, documents))
        self._maxsims.append(scores.astype(np.float64))

    def _words(self, position: int, documents: Ints) -> Any:
        return 0.0 if self._query.words is None else self._query.words[position][documents].astype(np.float64)

    def _totals(self) -> Doubles:
        if not self._places:
            return np.empty(0)
        words = [self._words(position, documents) for position, documents in self._places]
        return np.concatenate([scores + more for scores, more in zip(self._maxsims, words, strict=True)])

    def _settle(self, positions: Ints, documents: Ints, totals: Doubles, maxsims: Doubles) -> None:
        """Score float32 documents that nearly tie anew, each by itself, in place.

        A product of float32 rounds by where a row lies in it (see `latelite.maxsim`). Alone, every document lies in
        the same place, so equal documents get equal bits. Equal vectors are scored once.
        """
        coded = np.array([part.quantisation is not None for part in self._view.parts])
        if coded[positions].all():
            return
        order = np.argsort(-totals, kind="stable")
        near = totals[order][:-1] - totals[order][1:] <= _tolerance(totals[order][:-1])
        ties = order[np.append(near, False) | np.append(False, near)]
        known: dict[bytes, float] = {}
        for place in ties[~coded[positions[ties]]].tolist():
            part, document = self._view.parts[int(positions[place])], int(documents[place])
            vectors = part.tokens[part.offsets[document] : part.offsets[document + 1]].tobytes()
            if vectors not in known:
                (known[vectors],) = maxsim(
                    self._query.vectors, part.tokens, part.offsets, documents=documents[place : place + 1]
                ).tolist()
            maxsims[place] = known[vectors]
            totals[place] = maxsims[place] + float(np.sum(self._words(int(positions[place]), documents[place])))


def _tolerance(score: Any) -> Any:
    return _NEAR * np.maximum(np.abs(score), 1)
