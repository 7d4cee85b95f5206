"""Training batches: documents of one source and language, with a query for each.

The documents of a batch are the candidates of all its queries. They are drawn in runs that are adjacent in their source
(passages of one article, methods of one class), because similar documents are hard to tell apart. A batch depends only
on the seed and the step number, so an interrupted run resumes with the same batches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latelite.mining import questions
from recipe.examples import Document
from recipe.pins import LANGUAGES
from recipe.switching import Switcher

SORTED = 4
"""Each draw is sorted by length and split into this many batches; unsorted, a quarter of the tokens were padding."""
INTO_ENGLISH = 0.7
"""Share of translation pairs that have English on one side."""
PARALLEL = ".parallel"
"""Suffix of sources whose queries are translations of the documents."""


@dataclass(frozen=True)
class Mix:
    """Sampling shares of kinds of text, sources and languages."""

    general: Mapping[str, float]
    """Sources of general text -> share within a language."""
    software: Mapping[str, float]
    kinds: Mapping[str, float]
    """Shares of the batches of ``general``, ``software`` and ``parallel`` text."""
    parallel: Mapping[str, float]
    siblings: int = 4
    """Number of adjacent documents drawn together."""
    switched: float = 0.35
    """Share of queries with words replaced by translations; see ``switching``."""
    foreign: float = 0.35
    """Share of queries taken in another language than the document's, if it has such queries."""
    long: float = 0.05
    """Share of batches whose documents are several passages joined to one text."""


@dataclass(frozen=True)
class Batch:
    """One training step. Query ``i`` belongs to document ``i``."""

    source: str
    language: str
    documents: tuple[str, ...]
    queries: tuple[str, ...]
    """Queries as the student reads them."""
    asked: tuple[str, ...] | None
    """Queries as the teacher reads them, in the documents' language; None: learn from the pairs only."""
    longest: int
    """Maximum tokens of a document."""


class Sampler:
    """Draws batches."""

    def __init__(
        self, documents: Iterable[Document], mix: Mix, size: int, longest: int, seed: int, switcher: Switcher
    ) -> None:
        self.mix, self.size, self.longest, self.seed, self.switcher = mix, size, longest, seed, switcher
        self.pools: dict[tuple[str, str], list[Document]] = defaultdict(list)
        for document in documents:
            if not document.held_out and (document.foreign or not document.source.endswith(PARALLEL)):
                self.pools[document.source, document.language].append(document)

    def batch(self, step: int) -> Batch:
        """The batch of one step."""
        draw = np.random.default_rng((self.seed, step))
        kind = _choose(draw, self.mix.kinds)
        language = str(draw.choice(LANGUAGES))
        shares: Mapping[str, float] = getattr(self.mix, kind)
        source = _choose(draw, {name: share for name, share in shares.items() if (name, language) in self.pools})
        pool = self.pools[source, language]
        if kind == "parallel":
            return self._translations(draw, source, language, self._documents(draw, pool, 1, self.size))
        if draw.random() < self.mix.long:
            runs = self._documents(draw, pool, self.mix.siblings, self.size)
            joined = [runs[at : at + self.mix.siblings] for at in range(0, len(runs), self.mix.siblings)]
            texts = [" ".join(document.text for document in run) for run in joined]
            chosen = [run[int(draw.integers(len(run)))] for run in joined]
            return self._articles(draw, source, language, chosen, texts, 512)
        chosen = self._documents(draw, pool, self.mix.siblings, self.size)
        longest = int(draw.integers(self.longest // 2, self.longest + 1))
        return self._articles(draw, source, language, chosen, [document.text for document in chosen], longest)

    def _documents(self, draw: np.random.Generator, pool: list[Document], run: int, size: int) -> list[Document]:
        """About ``size`` documents of similar length, in runs of ``run``."""
        runs = -(-len(pool) // run)
        drawn = draw.choice(runs, min(SORTED * size // run, runs), replace=False)
        families = [pool[at * run : (at + 1) * run] for at in drawn]
        lengths = [sum(len(document.text) for document in family) / len(family) for family in families]
        parts = np.array_split(np.argsort(lengths, kind="stable"), max(1, len(drawn) * run // size))
        return [document for at in parts[int(draw.integers(len(parts)))] for document in families[at]][:size]

    def _translations(self, draw: np.random.Generator, source: str, language: str, chosen: Sequence[Document]) -> Batch:
        queries = []
        for document in chosen:
            english = [text for other, text, _ in document.foreign if other == "en"]
            if english and draw.random() < INTO_ENGLISH:
                queries.append(english[0])
            else:
                queries.append(document.foreign[int(draw.integers(len(document.foreign)))][1])
        return Batch(source, language, tuple(document.text for document in chosen), tuple(queries), None, self.longest)

    def _articles(
        self, draw: np.random.Generator, source: str, language: str, chosen: Sequence[Document],
        texts: Sequence[str], longest: int,
    ) -> Batch:  # fmt: skip
        queries, asked = [], []
        for document in chosen:
            if document.foreign and draw.random() < self.mix.foreign:
                _, query, original = document.foreign[int(draw.integers(len(document.foreign)))]
            else:
                query = original = questions.ask(draw, language, document.text, document.queries)
                if draw.random() < self.mix.switched:
                    query = self._switch(draw, query, language)
            queries.append(query)
            asked.append(original)
        return Batch(source, language, tuple(texts), tuple(queries), tuple(asked), longest)

    def _switch(self, draw: np.random.Generator, query: str, language: str) -> str:
        others = [other for other in LANGUAGES if other != language]
        into = "en" if language != "en" and draw.random() < INTO_ENGLISH else str(draw.choice(others))
        return self.switcher.switch(draw, query, language, into, float(draw.uniform(0.5, 1.0)))


def _choose(draw: np.random.Generator, shares: Mapping[str, float]) -> str:
    names = sorted(shares)
    weights = np.array([shares[name] for name in names], dtype=np.float64)
    return str(names[int(draw.choice(len(names), p=weights / weights.sum()))])
