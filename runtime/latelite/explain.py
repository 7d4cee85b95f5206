"""Why a document was found: which of its parts match which words of the query.

Late interaction scores each token of the query by the one token of the document that is nearest to it, and BM25 scores
the subwords and first letters of words that both have. Both are known without encoding the document again: its vectors
are stored, and the tokenizer says where each token stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from latelite.boundaries import widened, word_end, word_start
from latelite.terms import FIRST_LETTERS, Terms
from latelite.words import folded, unspaced

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_MOST = 0.5
"""Of a word's characters: what has no more in common than that is not shown as the same word."""
_TELLING = 4
"""Characters that are shown as a part of any longer word, as in compounds; fewer must be most of it."""
_OCCURRENCES = 8
"""Places at most that one word of the query is shown at for being the same word."""
_RUN = re.compile(r"\S+")


@dataclass(frozen=True)
class Match:
    """A part of a document's text that matches a word of the query. Never changes, so threads may share it."""

    query: str
    """The word as it stands in the query."""
    start: int
    """First code point in the text."""
    end: int
    """One past the last code point."""
    score: float
    """Cosine of the nearest pair of their token vectors. Behind what the encoder has read, the share of the word's
    characters that is there: 1 for the same word."""


@dataclass(frozen=True)
class Question:
    """A query as the explanation needs it."""

    text: str
    vectors: Floats
    """(query tokens, dim)"""
    spans: Ints
    """(query tokens, 2) code points of ``text``; -1 for tokens that are no part of it."""
    terms: Terms
    common: NDArray[np.bool_]
    """(terms,) True for terms that so many documents have that they explain nothing."""

    # What follows is the same for each document that is explained.

    @cached_property
    def words(self) -> list[tuple[int, int]]:
        """Spans of the words that say something."""
        return _words(self)

    @cached_property
    def owners(self) -> Ints:
        """(query tokens,) the word that each token belongs to; -1 for none."""
        return _owners(self.spans, self.words)

    @cached_property
    def asked(self) -> list[Asked]:
        """The terms of each word, and their spans."""
        owners = _owners(self.terms.spans, self.words)
        ids, spans = self.terms.ids, self.terms.spans
        return [
            {term: (start, end) for term, (start, end) in zip(ids[own].tolist(), spans[own].tolist(), strict=True)}
            for own in (np.flatnonzero(owners == word) for word in range(len(self.words)))
        ]

    @cached_property
    def normalised(self) -> Floats:
        """``vectors``, each of length 1."""
        return _normalised(self.vectors)


@dataclass(frozen=True)
class Answer:
    """A document as the explanation needs it."""

    text: str
    vectors: Floats
    """(vectors, dim) as stored"""
    spans: Ints
    """(tokens, 2) of the tokens that were encoded and kept; -1 for special tokens."""
    clusters: Ints
    """(tokens,) the vector that stands for each token: 0, 1, ... without pooling."""
    terms: Terms

    @cached_property
    def members(self) -> tuple[Ints, Ints]:
        """The tokens in the order of their vectors, and (vectors + 1,) where those of each vector begin."""
        order = np.argsort(self.clusters, kind="stable")
        return order, np.searchsorted(self.clusters[order], np.arange(len(self.vectors) + 1))


def explain(question: Question, answer: Answer) -> list[Match]:
    """The parts of a document that match, in the order of the text.

    For each word of the query: where the tokens nearest to its tokens stand, and where the document has the same
    subwords or first letters, widened to whole words. What matches two words of the query is there for both.
    """
    words = question.words
    # Not a BLAS product: its threads would wake up, which costs more than it.
    cosines: Floats = np.einsum("id,jd->ij", question.normalised, _normalised(answer.vectors))
    best: dict[tuple[int, int, int], float] = {}
    _semantic(question, answer, cosines, best)
    _lexical(question, answer, cosines, best)
    matches = [
        Match(_stripped(question.text[slice(*words[word])]), start, end, round(float(min(score, 1.0)), 6))
        for (word, start, end), score in best.items()
    ]
    return sorted(matches, key=lambda match: (match.start, match.end, -match.score, match.query))


def best_snippet(text: str, matches: Sequence[Match], length: int = 160) -> tuple[int, int]:
    """The part of a text, at most ``length`` code points, that the most and best matches lie in; begins with a word.

    Each word of the query counts once, with its best score. Without matches, the beginning.
    """
    if len(text) <= length:
        return 0, len(text)
    starts = sorted({match.start for match in matches if match.end - match.start <= length})
    chosen, highest = 0, 0.0
    for start in starts:
        words: dict[str, float] = {}
        for match in matches:
            if start <= match.start and match.end <= start + length:
                words[match.query] = max(words.get(match.query, 0.0), match.score)
        if (total := sum(words.values())) > highest:
            chosen, highest = start, total
    inside = [match.end for match in matches if chosen <= match.start and match.end <= chosen + length]
    spare = length - (max(inside, default=chosen) - chosen)
    begin = word_start(text, max(0, min(chosen - spare // 2, len(text) - length)), chosen)
    return begin, word_end(text, min(len(text), begin + length), max(inside, default=begin))


def _words(question: Question) -> list[tuple[int, int]]:
    """Spans of the words that say something: neither punctuation nor common, unless there are no others.

    Where a script has no spaces, each of the query's tokens is a word.
    """
    text = question.text
    words: list[tuple[int, int]] = []
    for run in _RUN.finditer(text):
        if not unspaced().search(run[0]):
            words.append(run.span())
            continue
        inside = {(start, end) for start, end in question.spans.tolist() if run.start() <= start < end <= run.end()}
        words += sorted(inside)
    words = [word for word in words if not all(unicodedata.category(each)[0] == "P" for each in text[slice(*word)])]
    owners = _owners(question.terms.spans, words)
    common = {
        word
        for number, word in enumerate(words)
        if question.common[owners == number].all() and (owners == number).any()
    }
    return [word for word in words if word not in common] or words


Best = dict[tuple[int, int, int], float]
"""Scores of the word of this number and the part of the document between these code points."""
Found = list[tuple[int, int, list[int]]]
"""Terms of a document: position, term, span."""
Asked = dict[int, tuple[int, int]]
"""The terms of a word of the query, and their spans."""


def _semantic(question: Question, answer: Answer, cosines: Floats, best: Best) -> None:
    """Where the tokens that MaxSim chose stand."""
    if not len(answer.vectors):
        return
    tokens = np.flatnonzero(question.owners >= 0)
    nearest = cosines[tokens].argmax(axis=1)
    order, firsts = answer.members
    for owner, vector, score in zip(
        question.owners[tokens].tolist(), nearest.tolist(), cosines[tokens, nearest].tolist(), strict=True
    ):
        for start, end in answer.spans[order[firsts[vector] : firsts[vector + 1]]].tolist():
            if span := widened(answer.text, start, end):
                best[owner, *span] = max(score, best.get((owner, *span), -1.0))


def _lexical(question: Question, answer: Answer, cosines: Floats, best: Best) -> None:
    """Where the document has the subwords of a word, most of them side by side, or a word that begins alike."""
    read = int(answer.spans[:, 1].max(initial=0))
    places = np.flatnonzero(_are_among(answer.terms.ids, question.terms.ids))
    ids, spans = answer.terms.ids[places].tolist(), answer.terms.spans[places].tolist()
    found: dict[int, Found] = {}
    for position, term, at in zip(places.tolist(), ids, spans, strict=True):
        found.setdefault(term, []).append((position, term, at))
    for word, asked in enumerate(question.asked):
        shares = _subword_shares(asked, found)
        for span, share in _word_shares(question.text, asked, answer.text, found).items():
            shares[span] = max(share, shares.get(span, 0.0))
        shown = 0
        for (start, end), share in sorted(shares.items()):
            if share <= _MOST:
                continue
            place = widened(answer.text, start, end)
            if place is None or (word, *place) in best:
                continue
            if end - start < _TELLING and end - start <= _MOST * (place[1] - place[0]):
                continue  # "ab" of "abroad"
            best[(word, *place)] = (
                share if place[0] >= read else _cosine(question, answer, cosines, question.words[word], place)
            )
            shown += 1
            if shown == _OCCURRENCES:
                break


def _are_among(ids: NDArray[np.uint32], wanted: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """(ids,) whether each is one of ``wanted``."""
    if not len(wanted):
        return np.zeros(len(ids), np.bool_)
    ordered = np.sort(wanted)
    among: NDArray[np.bool_] = ordered[np.minimum(np.searchsorted(ordered, ids), len(ordered) - 1)] == ids
    return among


def _subword_shares(asked: Asked, found: Mapping[int, Found]) -> dict[tuple[int, int], float]:
    """Where subwords of a word stand side by side, and which share of its characters they are."""
    lengths = {term: end - start for term, (start, end) in asked.items() if term < FIRST_LETTERS}
    shares = {}
    for run in _side_by_side(sorted(each for term in lengths for each in found.get(term, []))):
        share = sum(lengths[term] for term in {term for _, term, _ in run}) / max(sum(lengths.values()), 1)
        shares[run[0][2][0], run[-1][2][1]] = share
    return shares


def _word_shares(query: str, asked: Asked, text: str, found: Mapping[int, Found]) -> dict[tuple[int, int], float]:
    """Where words begin as those of a word of the query do, and which share of its characters they have in common."""
    shares = {}
    for term, span in asked.items():
        if term < FIRST_LETTERS or term not in found:
            continue
        one = folded([query[slice(*span)]])[0]
        for _, _, (start, end) in found[term]:
            other = folded([text[start:end]])[0]
            alike = [a == b for a, b in zip(one, other, strict=False)]
            shares[start, end] = [*alike, False].index(False) / max(len(one), 1)
    return shares


def _side_by_side(found: Found) -> list[Found]:
    """Subwords in runs of neighbours that touch each other."""
    runs: list[Found] = []
    for each in found:
        if runs and runs[-1][-1][0] + 1 == each[0] and runs[-1][-1][2][1] == each[2][0]:
            runs[-1].append(each)
        else:
            runs.append([each])
    return runs


def _cosine(question: Question, answer: Answer, cosines: Floats, word: tuple[int, int], span: tuple[int, int]) -> float:
    """Of the nearest pair of tokens of a word and of a part of the document."""
    nearby = cosines[_overlapping(question.spans, word)][:, answer.clusters[_overlapping(answer.spans, span)]]
    return float(nearby.max()) if nearby.size else 1.0  # tokens of the skiplist have no vectors


def _overlapping(spans: Ints, span: tuple[int, int]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (spans[:, 0] < span[1]) & (spans[:, 1] > span[0]) & (spans[:, 0] >= 0)
    return inside


def _owners(spans: Ints, words: list[tuple[int, int]]) -> Ints:
    """(tokens,) which word each token belongs to: the one that its last character is in; -1 for none."""
    if not words:
        return np.full(len(spans), -1)
    starts = np.array([start for start, _ in words])
    ends = np.array([end for _, end in words])
    place = np.searchsorted(starts, spans[:, 1] - 1, side="right") - 1
    outside = (spans[:, 0] < 0) | (place < 0) | (spans[:, 0] >= ends[place])
    return np.where(outside, -1, place)


def _stripped(word: str) -> str:
    """A word of the query without the punctuation around it, unless there is nothing else."""
    inner = word.strip("!\"'(),.:;?[]{}¿¡«»„“”‚‘’…。、？！：；（）「」")
    return inner or word


def _normalised(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    normalised: Floats = vectors / np.maximum(lengths, np.float32(1e-12))
    return normalised
