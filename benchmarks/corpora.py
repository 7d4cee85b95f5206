"""Corpora to search: Python's docstrings, or a folder in BEIR layout."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import beir

from latelite import demo

QUERY_WORDS = range(2, 41)
"""Number of words of a sentence that may be a query."""


@dataclass(frozen=True)
class Corpus:
    """Documents and queries."""

    name: str
    documents: dict[str, str]
    """Id -> text."""
    queries: tuple[str, ...]
    """In a fixed shuffled order, because neighbours in a file are similar."""

    def part(self, documents: int | None) -> Corpus:
        """``documents`` documents spread over the corpus (None: all), and all queries.

        Smaller parts are not subsets of larger ones.
        """
        if documents is None or documents >= len(self.documents):
            return self
        items = list(self.documents.items())
        chosen = (items[i * len(items) // documents] for i in range(documents))
        return Corpus(self.name, dict(chosen), self.queries)


def docstrings() -> Corpus:
    """The docstrings of Python's standard library, as in ``latelite.demo``; queries are sentences from them.

    Sentences come from all parts of docstrings, and have from two to forty words. Such a query finds its document too
    easily to measure quality, but its length and cost are realistic.
    """
    documents = {name: text for name, _, text in demo.docstrings()}
    sentences = {
        sentence
        for text in documents.values()
        for sentence in re.split(r"(?<=[.?!])\s+", " ".join(text.partition(": ")[2].split()))
        if len(sentence.split()) in QUERY_WORDS
    }
    return Corpus("docstrings", documents, _shuffle(sorted(sentences) + [question for _, question in demo.QUESTIONS]))


def folder(path: Path, corpus: Path | None = None) -> Corpus:
    """A folder in BEIR layout, read by `beir.load`."""
    data = beir.load(path, corpus)
    return Corpus(data.name, data.documents, _shuffle(list(data.queries.values())))


def by_name(name: str) -> Corpus:
    """The corpus ``docstrings``, or a folder."""
    return docstrings() if name == "docstrings" else folder(Path(name))


def _shuffle(texts: Sequence[str]) -> tuple[str, ...]:
    order = list(texts)
    random.Random(0).shuffle(order)
    return tuple(order)
