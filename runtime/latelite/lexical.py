"""Lexical search: BM25 over postings, as a share of the most that a document could get.

    BM25(Q, D) = sum_t idf(t) * f(t, D) * (k1 + 1) / (f(t, D) + k1 * (1 - b + b * |D| / mean |D|))
    idf(t) = ln(1 + (N - n(t) + .5) / (n(t) + .5))

(Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009; the idf is Lucene's, which is
never negative.) A query term that occurs twice counts twice. The upper bound is the sum of ``idf(t) * (k1 + 1)``: what
a document would get if every term of the query saturated, those that no document has included. The score is the
quotient, so it lies between 0 and 1, does not depend on which other documents are looked at, and is small where most
words of a query are unknown to the collection.

What the terms are says `latelite.terms`; here they are numbers below 2**32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import distinct
from latelite.errors import IndexCorruptError

K1 = 0.9
B = 0.4
_COMMON = 0.25
_SOME = 32
_POSTINGS_AT_ONCE = 1 << 15
"""Postings of several terms that are counted together, which spares a query of 27 terms half of the time; more would
not stay in a core's cache."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Ids = NDArray[np.int32]
TermIds = NDArray[np.uint32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Postings:
    """Which documents have a term, and how often: compressed sparse rows over the terms that occur.

    The documents of ``terms[i]`` are ``documents[offsets[i]:offsets[i + 1]]``, ascending. 5 bytes a (document, term), 8
    for each different term and 4 for each document; all arrays may be memory-mapped.
    """

    terms: TermIds
    """(terms,) uint32, ascending: those that a document has"""
    offsets: TermIds
    """(terms + 1,) uint32"""
    documents: Ids
    """(postings,) int32, numbers of documents"""
    frequencies: NDArray[np.uint8]
    """(postings,) uint8, occurrences of the term in the document; 255 means that many or more"""
    lengths: Ids
    """(documents,) int32, terms of each document, repeats included"""

    def check(self) -> None:
        """Raise IndexCorruptError when the arrays do not fit each other."""
        fits = (
            len(self.offsets) == len(self.terms) + 1
            and int(self.offsets[0]) == 0
            and int(self.offsets[-1]) == len(self.documents) == len(self.frequencies)
            and bool((self.offsets[1:] > self.offsets[:-1]).all())
            and bool((self.terms[1:] > self.terms[:-1]).all())
            and (not len(self.documents) or 0 <= self.documents.min() <= self.documents.max() < len(self.lengths))
        )
        if not fits:
            raise IndexCorruptError("the postings for lexical search are damaged: their arrays do not fit each other.")

    def ranges(self, terms: TermIds) -> tuple[Ints, Ints]:
        """(terms,) where the documents of each term begin and end; nothing lies between for terms that none has."""
        if not len(self.terms):
            return np.zeros(len(terms), np.int64), np.zeros(len(terms), np.int64)
        # Numbers of another type would convert, and so read, all of the array.
        places = np.searchsorted(self.terms, terms.astype(np.uint32, copy=False))
        places[places == len(self.terms)] = 0
        there = self.terms[places] == terms
        starts = self.offsets[places].astype(np.int64)
        return starts, np.where(there, self.offsets[places + 1].astype(np.int64), starts)


def build_postings(terms_per_document: Sequence[TermIds]) -> Postings:
    """Postings of documents that are numbered as they come.

    Args:
        terms_per_document: for each document (terms,) uint32, with repeats, in any order.
    """
    lengths = np.fromiter((len(terms) for terms in terms_per_document), np.int32, len(terms_per_document))
    terms = np.concatenate([np.empty(0, np.uint32), *terms_per_document]).astype(np.uint64)
    documents = np.repeat(np.arange(len(lengths), dtype=np.uint64), lengths)
    pairs, counts = np.unique(terms << np.uint64(32) | documents, return_counts=True)
    return _postings(
        (pairs >> np.uint64(32)).astype(np.uint32),
        pairs.astype(np.uint32).astype(np.int32),
        np.minimum(counts, 255).astype(np.uint8),
        lengths,
    )


def merge_postings(parts: Sequence[tuple[Postings, Mask | None]]) -> Postings:
    """Postings of the documents of all ``parts``, one part after another.

    Args:
        parts: postings, each with the documents to keep, (documents,) bool; None keeps all.
    """
    terms, documents, frequencies, lengths = [], [], [], []
    first = 0
    for postings, kept in parts:
        keep = np.ones(len(postings.lengths), np.bool_) if kept is None else kept
        numbers = first + np.cumsum(keep) - 1
        stays = keep[postings.documents]
        terms.append(np.repeat(postings.terms, np.diff(postings.offsets))[stays])
        documents.append(numbers[postings.documents[stays]])
        frequencies.append(postings.frequencies[stays])
        lengths.append(postings.lengths[keep])
        first += int(keep.sum())
    all_terms = np.concatenate(terms)
    order = np.argsort(all_terms, kind="stable")  # within a term the parts stay in order, so documents ascend
    return _postings(
        all_terms[order],
        np.concatenate(documents)[order].astype(np.int32),
        np.concatenate(frequencies)[order],
        np.concatenate(lengths),
    )


def _postings(terms: TermIds, documents: Ids, frequencies: NDArray[np.uint8], lengths: Ids) -> Postings:
    """Postings from (term, document) pairs in the order of both."""
    different, starts = np.unique(terms, return_index=True)
    return Postings(different, as_offsets(np.append(starts, len(terms))), documents, frequencies, lengths)


def as_offsets(offsets: Ints) -> TermIds:
    """Offsets into postings as they are stored.

    Raises:
        OverflowError: there are 2**32 postings or more, some 20 GB.
    """
    if int(offsets[-1]) >> 32:
        raise OverflowError(f"{offsets[-1]} postings are more than a segment can have; keep several collections.")
    return offsets.astype(np.uint32)


@dataclass(frozen=True)
class Statistics:
    """What BM25 has to know of some documents for one query. Those of several collections add up."""

    documents: int
    length: int
    """Terms of all documents, repeats included."""
    frequencies: Ints
    """(distinct terms of the query, ascending,) documents that have each."""

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.documents + other.documents, self.length + other.length, self.frequencies + other.frequencies
        )

    @property
    def mean_length(self) -> float:
        """Terms per document."""
        return self.length / self.documents if self.length else 1.0


class BM25:
    """Scores the documents of several postings as one collection. Safe to share between threads.

    Which postings the documents lie in changes no score: the statistics are those of all live documents.

    Args:
        parts: postings, each with its live documents, (documents,) bool; None where all are.
    """

    def __init__(self, parts: Sequence[tuple[Postings, Mask | None]]) -> None:
        self._parts = tuple(parts)
        documents = total = 0
        for postings, live in self._parts:
            lengths = postings.lengths if live is None else postings.lengths[live]
            documents += len(lengths)
            total += int(lengths.sum(dtype=np.int64))
        self._documents, self._length = documents, total
        self._norms: tuple[float, list[Floats]] = 0.0, []

    def statistics(self, query_terms: TermIds) -> Statistics:
        """Of the live documents, for a query's terms: (terms,), with repeats."""
        return Statistics(self._documents, self._length, self._document_frequencies(distinct(query_terms)))

    def score(self, query_terms: TermIds, statistics: Statistics | None = None) -> list[Floats]:
        """Score every document.

        Args:
            query_terms: (terms,), with repeats.
            statistics: for this query, of all collections that are searched as one; None takes this one's.

        Returns:
            Per part (documents,) float32 between 0 and 1; 0 for documents that share no term with the query. Removed
            documents get a score as well.
        """
        scores = [np.zeros(len(postings.lengths), np.float32) for postings, _ in self._parts]
        terms, counts = np.unique(query_terms, return_counts=True)
        if not len(terms):
            return scores
        known = statistics or self.statistics(query_terms)
        found = known.frequencies
        weights = counts * np.log1p((known.documents - found + 0.5) / (found + 0.5))
        all_norms = self._norms_at(known.mean_length)
        shares = (weights / weights.sum()).astype(np.float32)
        for (postings, _), norms, score in zip(self._parts, all_norms, scores, strict=True):
            starts, stops = postings.ranges(terms)
            lengths = stops - starts
            # Term after term, so that a document's sum is rounded alike wherever it lies.
            cuts = np.flatnonzero(np.diff(np.cumsum(lengths) // _POSTINGS_AT_ONCE)) + 1
            for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(terms)], strict=True):
                ranges = list(map(slice, starts[first:last].tolist(), stops[first:last].tolist()))
                # Wide numbers, `take` and `add.at` take a third of the time of ``score[documents] += ...``.
                documents = np.concatenate([postings.documents[each] for each in ranges]).astype(np.intp)
                frequencies = np.concatenate([postings.frequencies[each] for each in ranges]).astype(np.float32)
                weight = np.repeat(shares[first:last], lengths[first:last])
                np.add.at(score, documents, weight * frequencies / (frequencies + norms.take(documents)))
        return scores

    def are_common(self, terms: TermIds, statistics: Statistics | None = None) -> Mask:
        """(terms,) True for terms that more than a quarter of the documents have, where there are some documents."""
        known = statistics or self.statistics(terms)
        if known.documents < _SOME:
            return np.zeros(len(terms), np.bool_)
        _, places = np.unique(terms, return_inverse=True)
        common: Mask = known.frequencies[places] > _COMMON * known.documents
        return common

    def _norms_at(self, mean_length: float) -> list[Floats]:
        """Per part (documents,) what a document's length adds to the denominator; the last ones are kept."""
        known = self._norms
        if known[0] != mean_length:
            norms = [(K1 * (1 - B + B / mean_length * p.lengths)).astype(np.float32) for p, _ in self._parts]
            known = self._norms = mean_length, norms
        return known[1]

    def _document_frequencies(self, terms: TermIds) -> Ints:
        """(terms,) live documents that have each term."""
        found = np.zeros(len(terms), np.int64)
        for postings, live in self._parts:
            starts, stops = postings.ranges(terms)
            if live is None:
                found += stops - starts
            else:
                for number, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
                    found[number] += int(np.count_nonzero(live[postings.documents[start:stop]]))
        return found


def best(scores: Sequence[Floats], allowed: Sequence[Mask | None], n: int) -> list[Ints]:
    """Per part the documents, ascending, that are among the ``n`` best of all parts; ties go to the earlier ones.

    Args:
        scores: per part (documents,) float32. Documents that score 0 are no candidates.
        allowed: per part the documents that may be returned; None allows all.
    """
    kept = [
        np.flatnonzero(s if mask is None else np.where(mask, s, 0)) for s, mask in zip(scores, allowed, strict=True)
    ]
    if sum(map(len, kept)) <= n:
        return kept
    values = np.concatenate([score[numbers] for score, numbers in zip(scores, kept, strict=True)])
    border = np.partition(values, len(values) - n)[len(values) - n]
    chosen = values > border
    ties = np.flatnonzero(values == border)[: n - int(chosen.sum())]
    chosen[ties] = True
    ends = np.cumsum([len(numbers) for numbers in kept])
    return [numbers[chosen[end - len(numbers) : end]] for numbers, end in zip(kept, ends, strict=True)]
