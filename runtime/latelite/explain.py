"""Why a document was found: which of its parts match which words of the query.

Late interaction scores each token of the query by the one token of the document that is nearest to it, and BM25 scores
the subwords and first letters of words that both have. Both are known without encoding the document again: its vectors
are stored, and the tokenizer says where each token stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import distinct
from latelite.terms import FIRST_LETTERS, Terms
from latelite.words import UNSPACED, folded

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_MOST = 0.5
"""Of a word's characters: what has no more in common than that is not shown as the same word."""
_TELLING = 4
"""Characters that are shown as a part of any longer word, as in compounds; fewer must be most of it."""
_OCCURRENCES = 8
"""Places at most that one word of the query is shown at for being the same word."""
_JOINER = "\u200d"
_RUN = re.compile(r"\S+")


@dataclass(frozen=True)
class Match:
    """A part of a document's text that matches a word of the query."""

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


def explain(question: Question, answer: Answer) -> list[Match]:
    """The parts of a document that match, in the order of the text.

    For each word of the query: where the tokens nearest to its tokens stand, and where the document has the same
    subwords or first letters, widened to whole words. What matches two words of the query is there for both.
    """
    words = _words(question)
    best: dict[tuple[int, int, int], float] = {}
    _semantic(question, answer, words, best)
    _lexical(question, answer, words, best)
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
    begin = _word_start(text, max(0, min(chosen - spare // 2, len(text) - length)), chosen)
    return begin, _word_end(text, min(len(text), begin + length), max(inside, default=begin))


def _words(question: Question) -> list[tuple[int, int]]:
    """Spans of the words that say something: neither punctuation nor common, unless there are no others.

    Where a script has no spaces, each of the query's tokens is a word.
    """
    text = question.text
    words: list[tuple[int, int]] = []
    for run in _RUN.finditer(text):
        if not _unspaced().search(run[0]):
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


def _semantic(
    question: Question, answer: Answer, words: list[tuple[int, int]], best: dict[tuple[int, int, int], float]
) -> None:
    """Where the tokens that MaxSim chose stand."""
    if not len(answer.vectors):
        return
    owners = _owners(question.spans, words)
    tokens = np.flatnonzero(owners >= 0)
    cosines = _cosines(question.vectors[tokens], answer.vectors)
    places: dict[tuple[int, int], list[float]] = {}
    for token, row in zip(tokens.tolist(), cosines, strict=True):
        nearest = int(row.argmax())
        for member in np.flatnonzero(answer.clusters == nearest).tolist():
            start, end = answer.spans[member].tolist()
            if span := _widened(answer.text, start, end):
                places.setdefault((int(owners[token]), *span), []).append(float(row[nearest]))  # type: ignore[arg-type]
    for (word, start, end), scores in places.items():  # type: ignore[misc]
        best[word, start, end] = max(scores)


def _lexical(
    question: Question, answer: Answer, words: list[tuple[int, int]], best: dict[tuple[int, int, int], float]
) -> None:
    """Where the document has the subwords of a word, most of them side by side, or a word that begins alike."""
    read = int(answer.spans[:, 1].max(initial=0))
    owners = _owners(question.terms.spans, words)
    places = np.flatnonzero(np.isin(answer.terms.ids, question.terms.ids))
    ids, spans = answer.terms.ids[places].tolist(), answer.terms.spans[places].tolist()
    found = list(zip(places.tolist(), ids, spans, strict=True))
    subwords = [each for each in found if each[1] < FIRST_LETTERS]
    beginnings = [each for each in found if each[1] >= FIRST_LETTERS]
    for word in range(len(words)):
        terms = np.flatnonzero(owners == word)
        asked = {
            term: (start, end)
            for term, (start, end) in zip(
                question.terms.ids[terms].tolist(), question.terms.spans[terms].tolist(), strict=True
            )
        }
        shares = _subword_shares(asked, subwords)
        for span, share in _word_shares(question.text, asked, answer.text, beginnings).items():
            shares[span] = max(share, shares.get(span, 0.0))
        shown = 0
        for (start, end), share in sorted(shares.items()):
            place = _widened(answer.text, start, end)
            if share <= _MOST or place is None or (word, *place) in best:
                continue
            if end - start < _TELLING and end - start <= _MOST * (place[1] - place[0]):
                continue  # "ab" of "abroad"
            best[(word, *place)] = share if place[0] >= read else _cosine(question, answer, words[word], place)
            shown += 1
            if shown == _OCCURRENCES:
                break


Found = list[tuple[int, int, list[int]]]
"""Terms of a document: position, term, span."""
Asked = dict[int, tuple[int, int]]
"""The terms of a word of the query, and their spans."""


def _subword_shares(asked: Asked, subwords: Found) -> dict[tuple[int, int], float]:
    """Where subwords of a word stand side by side, and which share of its characters they are."""
    lengths = {term: end - start for term, (start, end) in asked.items() if term < FIRST_LETTERS}
    shares = {}
    for run in _side_by_side([each for each in subwords if each[1] in lengths]):
        share = sum(lengths[term] for term in {term for _, term, _ in run}) / max(sum(lengths.values()), 1)
        shares[run[0][2][0], run[-1][2][1]] = share
    return shares


def _word_shares(query: str, asked: Asked, text: str, beginnings: Found) -> dict[tuple[int, int], float]:
    """Where words begin as those of a word of the query do, and which share of its characters they have in common."""
    shares = {}
    for _, term, (start, end) in beginnings:
        if term in asked:
            one, other = folded([query[slice(*asked[term])]])[0], folded([text[start:end]])[0]
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


def _cosine(question: Question, answer: Answer, word: tuple[int, int], span: tuple[int, int]) -> float:
    """Of the nearest pair of tokens of a word and of a part of the document."""
    asked = question.vectors[_overlapping(question.spans, word)]
    found = answer.vectors[distinct(answer.clusters[_overlapping(answer.spans, span)])]
    if not len(asked) or not len(found):  # tokens of the skiplist have no vectors
        return 1.0
    return float(_cosines(asked, found).max())


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


def _widened(text: str, start: int, end: int) -> tuple[int, int] | None:
    """A span without white space at its ends, and to the ends of the word that it is in; None if nothing is left."""
    if start < 0:
        return None
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start == end:
        return None
    while start > 0 and _holds_together(text[start - 1], text[start]):
        start -= 1
    while end < len(text) and _holds_together(text[end - 1], text[end]):
        end += 1
    return start, end


def _holds_together(one: str, other: str) -> bool:
    """Whether two neighbouring characters belong to one word, or to one character as people see it."""
    if _is_mark(other) or _JOINER in (one, other):
        return True
    return _is_letter(one) and _is_letter(other)


@lru_cache(maxsize=4096)
def _is_mark(character: str) -> bool:
    """A combining mark, a variation selector, a skin tone: part of the character before."""
    return unicodedata.category(character)[0] == "M" or "\U0001f3fb" <= character <= "\U0001f3ff"


@lru_cache(maxsize=1)
def _unspaced() -> re.Pattern[str]:
    """Compiled when first needed: it takes 4 ms, and most searches explain nothing."""
    return re.compile(f"[{UNSPACED}]")


@lru_cache(maxsize=4096)
def _is_letter(character: str) -> bool:
    if _unspaced().match(character):
        return False
    return character.isalnum() or character == "_" or _is_mark(character)


def _stripped(word: str) -> str:
    """A word of the query without the punctuation around it, unless there is nothing else."""
    inner = word.strip("!\"'(),.:;?[]{}¿¡«»„“”‚‘’…。、？！：；（）「」")
    return inner or word


def _cosines(one: Floats, other: Floats) -> Floats:
    """(rows of ``one``, rows of ``other``). Not a BLAS product: its threads would wake up, which costs more than it."""
    cosines: Floats = np.einsum("id,jd->ij", _normalised(one), _normalised(other))
    return cosines


def _normalised(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    normalised: Floats = vectors / np.maximum(lengths, np.float32(1e-12))
    return normalised


def _word_start(text: str, position: int, latest: int) -> int:
    """The first beginning of a word from ``position`` on, or ``position`` when there is none before ``latest``."""
    if position == 0 or text[position - 1].isspace():
        return position
    found = re.compile(r"\s+(?=\S)").search(text, position, min(len(text), latest + 1))
    return found.end() if found and found.end() <= latest else position


def _word_end(text: str, position: int, earliest: int) -> int:
    """The last end of a word up to ``position``, or ``position`` when there is none behind ``earliest``."""
    if position >= len(text) or text[position].isspace():
        return position
    while position > earliest and not text[position - 1].isspace():
        position -= 1
    while position > earliest and text[position - 1].isspace():
        position -= 1
    return position
