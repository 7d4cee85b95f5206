"""Search in a collection: meaning and words, under a filter, explained."""

from __future__ import annotations

import json
import logging
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from latelite.accepted import Accepted, Accepts
from latelite.arrays import Floats, Ints, Mask
from latelite.errors import IndexCorruptError
from latelite.explain import Answer, Match, Question, explain
from latelite.filters import parse
from latelite.indexes.ranking import Query, Ranking, rank
from latelite.lexical import BM25, Statistics, best
from latelite.models import ColBERT
from latelite.results import Hit
from latelite.storage.pooling import clusters_of
from latelite.storage.postings import open_postings
from latelite.storage.rows import Row
from latelite.storage.snapshot import Snapshot
from latelite.storage.storage import Storage
from latelite.terms import Terms

logger = logging.getLogger(__name__)

Found = TypeVar("Found")

Mode = Literal["hybrid", "semantic", "lexical"]
MODES: tuple[Mode, ...] = get_args(Mode)
Where = Mapping[str, Any] | Callable[[Mapping[str, Any]], bool]
"""A condition on metadata, see `latelite.filters`, or a function that accepts or refuses a document's metadata."""

_BY_WORDS = 64
"""Documents that the words propose in hybrid search, at least, and four times as many as results."""
_BY_MEANING = 20
"""Documents that the vectors propose in hybrid search, at least, and twice as many as results. Three times as many find
no more of the ten best (SciFact .9993 with either, de-lohelp all of them) and take a quarter longer."""
_PER_GROUP = 4
"""Documents that are ranked for each group at first."""
_KNOWN_TEXTS, _KNOWN_CHARACTERS = 128, 8192
"""Explained texts whose tokens and terms are remembered, and how long they may be: 10 MB at most."""


class Searcher:
    """Answers queries from a storage. Safe to share between threads: a query sees one state from beginning to end."""

    def __init__(self, storage: Storage, kind: Any, model: ColBERT) -> None:
        self._storage = storage
        self._kind = kind
        self._model = model
        self._accepted = Accepted(storage)
        self._lexical: tuple[Snapshot, BM25] | None = None
        self._known_places = lru_cache(maxsize=_KNOWN_TEXTS)(partial(_find_places, model))

    def places(self, text: str) -> tuple[Ints, Terms]:
        """Where the tokens and the terms of a document stand in its text; remembered, as people ask again and again."""
        return self._known_places(text) if len(text) <= _KNOWN_CHARACTERS else _find_places(self._model, text)

    @property
    def model(self) -> ColBERT:
        """Encodes the queries."""
        return self._model

    def search(
        self,
        queries: Sequence[str],
        k: int,
        *,
        where: Where | None,
        mode: Mode,
        explained: bool,
        min_score: float | None,
        group_by: str | None,
    ) -> list[list[Hit]]:
        """Per query its hits. See `latelite.Collection.search`."""
        _check_k(k)  # before anything is encoded
        questions = self.questions(queries, mode, explained=explained)
        return self.answers(
            questions, k, where=where, mode=mode, explained=explained, min_score=min_score, group_by=group_by
        )

    def answers(
        self,
        questions: Sequence[Question],
        k: int,
        *,
        where: Where | None,
        mode: Mode,
        explained: bool,
        min_score: float | None,
        group_by: str | None,
        statistics: Sequence[Statistics] | None = None,
    ) -> list[list[Hit]]:
        """Per question its hits.

        Args:
            statistics: per question, of all collections that are searched as one; None takes this one's.
        """
        _check_k(k)
        accepts = where if where is None or callable(where) else parse(where)
        totals = [None] * len(questions) if statistics is None else statistics

        def answered(view: Snapshot) -> list[list[Hit]]:
            if view.settings is None:
                return [[] for _ in questions]
            allowed = view.live_masks() if accepts is None else self.accepted(view, accepts)
            asked = [
                _Asked(self, view, question, mode, allowed, k, total)
                for question, total in zip(questions, totals, strict=True)
            ]
            return [self._hits(each, k, explained, min_score, group_by) for each in self._ranked(view, asked, k)]

        return self._storage.read(answered)

    def accepted(self, view: Snapshot, accepts: Accepts) -> list[Mask | None]:
        """Per part the live documents that a parsed condition, or a function, accepts."""
        return self._accepted.masks(view, accepts)

    def explain(self, query: str, row: Row, view: Snapshot) -> list[Match]:
        """Which parts of a document match which words of a query."""
        (question,) = self.questions([query], "hybrid", explained=True)
        return _Asked(self, view, question, "semantic", view.live_masks(), 1).matches(row)

    def bm25(self, view: Snapshot) -> BM25:
        """Lexical scores over all parts of a state."""
        known = self._lexical
        if known is None or known[0] is not view:
            parts = []
            for part in view.parts:
                postings = open_postings(part)
                if postings is None:
                    raise IndexCorruptError(f"{self._storage.folder} holds documents without words; add them again.")
                parts.append((postings, part.live))
            known = self._lexical = view, BM25(parts)
        return known[1]

    def close(self) -> None:
        """Let go of the state that was searched last."""
        self._lexical = None
        self._accepted.forget()

    def statistics(self, questions: Sequence[Question]) -> list[Statistics]:
        """Per question what BM25 has to know of the documents."""

        def counted(view: Snapshot) -> list[Statistics]:
            return [self.bm25(view).statistics(question.terms.ids) for question in questions]

        return self._storage.read(counted)

    def questions(self, queries: Sequence[str], mode: Mode, *, explained: bool) -> list[Question]:
        """Queries, encoded and split into terms: what `answers` takes, of any collection with this model."""
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}.")
        for query in queries:
            if not isinstance(query, str):
                raise TypeError(f"a query must be a string, not {type(query).__name__}; search_batch takes a list.")
        vectors = [np.empty((0, self._model.dim), np.float32)] * len(queries)
        if mode != "lexical" or explained:
            vectors = self._model.encode_query(list(queries), show_progress_bar=False)
            for query, each in zip(queries, vectors, strict=True):
                if len(each) >= self._model.query_length and self._model.cuts_query(query):
                    logger.warning(
                        "The query is longer than the %d tokens that the model reads; its end counts by its words "
                        "only: %.60s...",
                        self._model.query_length,
                        query,
                    )
        questions = []
        for query, each in zip(queries, vectors, strict=True):
            spans = self._model.query_spans(query) if explained else np.empty((0, 2), np.int64)
            analyzer = self._model.analyzer
            # Where they stand takes three times as long to find out, and only an explanation asks for it.
            terms = analyzer.terms(query) if explained else Terms(analyzer.ids(query), np.empty((0, 2), np.int64))
            questions.append(Question(query, each, spans, terms, np.zeros(len(terms.ids), np.bool_)))
        return questions

    def _ranked(self, view: Snapshot, asked: Sequence[_Asked], k: int) -> list[_Asked]:
        """Rank all queries; those that vectors count for together."""
        by_vectors = [each for each in asked if each.mode != "lexical"]
        rankings = iter(rank(self._kind, view, [each.query for each in by_vectors], k))
        for each in asked:
            each.ranking = each.by_words(k) if each.mode == "lexical" else next(rankings)
        return list(asked)

    def _hits(self, asked: _Asked, k: int, explained: bool, min_score: float | None, group_by: str | None) -> list[Hit]:
        rows = self._rows(asked)
        if group_by is not None:
            depth = k
            while (
                (rows := first_of_each_group(rows, group_by, _metadata_of)[:k])
                and len(rows) < k
                and len(asked.ranking.numbers) >= depth
            ):
                depth = max(_PER_GROUP * k, _PER_GROUP * depth)
                asked.deepen(depth)
                self._ranked(asked.view, [asked], depth)
                rows = self._rows(asked)
        hits = [asked.hit(place, row, explained=explained) for place, row in rows]
        return hits if min_score is None else [hit for hit in hits if hit.score >= min_score]

    def _rows(self, asked: _Asked) -> list[tuple[int, Row]]:
        return list(enumerate(self._storage.rows(asked.view, asked.ranking.numbers.tolist())))


class _Asked:
    """One query of one state."""

    def __init__(
        self,
        searcher: Searcher,
        view: Snapshot,
        question: Question,
        mode: Mode,
        allowed: list[Mask | None],
        k: int,
        statistics: Statistics | None = None,
    ) -> None:
        self.view = view
        self.mode = mode
        self.ranking = Ranking(np.empty(0, np.int64), np.empty(0), np.empty(0))
        self._searcher = searcher
        self._model = searcher._model
        self._question = question
        self._allowed = allowed
        self._statistics = statistics
        self._words: list[Floats] = []
        self._count = max(len(question.vectors), 1)
        if mode != "semantic":
            self._words = searcher.bm25(view).score(question.terms.ids, statistics)
        self.deepen(k)

    def deepen(self, k: int) -> None:
        """Get ready to be ranked for ``k`` results."""
        if self.mode == "hybrid":
            factor = np.float32(self._count * self._model.manifest.lexical_weight)
            self.query = Query(
                self._question.vectors,
                self._allowed,
                words=[factor * scores for scores in self._words],
                candidates=best(self._words, self._allowed, max(_BY_WORDS, 4 * k)),
                n_candidates=max(_BY_MEANING, 2 * k),
            )
        else:
            self.query = Query(self._question.vectors, self._allowed)

    def by_words(self, k: int) -> Ranking:
        """The best documents by their words alone."""
        found = best(self._words, self._allowed, k)
        numbers = [part.numbers[places] for part, places in zip(self.view.parts, found, strict=True)]
        scores = [words[places] for words, places in zip(self._words, found, strict=True)]
        number = np.concatenate([np.empty(0, np.int64), *numbers])
        score = np.concatenate([np.empty(0, np.float32), *scores]).astype(np.float64)
        order = np.lexsort((number, -score))
        return Ranking(number[order], score[order], np.zeros(len(order)))

    def hit(self, place: int, row: Row, *, explained: bool) -> Hit:
        """The result at a place of the ranking."""
        total, maxsim = float(self.ranking.totals[place]), float(self.ranking.maxsims[place])
        by_words = self.mode == "lexical"
        return Hit(
            row.id,
            total if by_words else total / self._count,
            row.text,
            row.metadata,
            semantic=None if by_words else maxsim / self._count,
            lexical=self._lexical(row.number) if self._words else None,
            matches=self.matches(row) if explained else [],
        )

    def matches(self, row: Row) -> list[Match]:
        """See `Searcher.explain`."""
        storage = self._searcher._storage
        vectors = storage.embeddings(self.view, row.number)
        spans, terms = self._searcher.places(row.text)
        clusters = clusters_of(storage, row.number)
        if clusters is None:
            clusters = np.arange(len(vectors))
        if len(clusters) != len(spans):  # another tokenizer's, or nothing of the text was kept
            spans = np.full((len(clusters), 2), -1)
        answer = Answer(row.text, vectors, spans, clusters, terms)
        return list(explain(self._explained, answer))

    @cached_property
    def _explained(self) -> Question:
        """The question, with the terms that explain nothing here."""
        common = self._searcher.bm25(self.view).are_common(self._question.terms.ids, self._statistics)
        return replace(self._question, common=common)

    def _lexical(self, number: int) -> float:
        place = int(np.searchsorted([part.numbers[-1] for part in self.view.parts], number))
        return float(self._words[place][np.searchsorted(self.view.parts[place].numbers, number)])


def _metadata_of(ranked: tuple[int, Row]) -> Mapping[str, Any]:
    return ranked[1].metadata


def _find_places(model: ColBERT, text: str) -> tuple[Ints, Terms]:
    return model.document_spans(text), model.analyzer.terms(text)


def _check_k(k: int) -> None:
    if operator.index(k) < 1:
        raise ValueError(f"k must be at least 1, not {k}.")


def first_of_each_group(
    found: Iterable[Found], field: str, metadata_of: Callable[[Found], Mapping[str, Any]]
) -> list[Found]:
    """The first of each value of a metadata field, in their order; documents without it are groups of their own."""
    seen: set[str] = set()
    kept = []
    for each in found:
        metadata = metadata_of(each)
        group = json.dumps(metadata[field], sort_keys=True) if field in metadata else None
        if group is None or group not in seen:
            kept.append(each)
        if group is not None:
            seen.add(group)
    return kept
