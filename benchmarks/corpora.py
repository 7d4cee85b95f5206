"""Documents and queries to search with: from this machine's own Python, or from a folder in BEIR layout."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import beir

from latelite import demo

QUERY_WORDS = range(2, 41)
"""Words of a docstring's sentence that may serve as a query."""


@dataclass(frozen=True)
class Corpus:
    """What is searched, and what is asked."""

    name: str
    documents: dict[str, str]
    """Id -> text."""
    queries: tuple[str, ...]
    """In a shuffled but fixed order: neighbours in the file are about the same thing."""

    def part(self, documents: int | None) -> Corpus:
        """``documents`` documents from all over the corpus (all of them for None), all queries.

        Smaller parts are not contained in larger ones.
        """
        if documents is None or documents >= len(self.documents):
            return self
        items = list(self.documents.items())
        chosen = (items[i * len(items) // documents] for i in range(documents))
        return Corpus(self.name, dict(chosen), self.queries)


def docstrings() -> Corpus:
    """The docstrings of Python's standard library, as in ``latelite.demo``; queries are sentences of theirs.

    Sentences come from docstrings' second halves as well as their first lines, so they have from two to forty words.
    Such a query finds its document too easily to say anything about quality; its length and its work are real.
    """
    documents = {name: text for name, _, text in demo.docstrings()}
    sentences = {
        sentence
        for text in documents.values()
        for sentence in re.split(r"(?<=[.?!])\s+", " ".join(text.partition(": ")[2].split()))
        if len(sentence.split()) in QUERY_WORDS
    }
    return Corpus("docstrings", documents, _shuffled(sorted(sentences) + [question for _, question in demo.QUESTIONS]))


def folder(path: Path, corpus: Path | None = None) -> Corpus:
    """A folder in BEIR layout, as `beir.load` reads it."""
    data = beir.load(path, corpus)
    return Corpus(data.name, data.documents, _shuffled(list(data.queries.values())))


def named(name: str) -> Corpus:
    """``docstrings``, or a folder."""
    return docstrings() if name == "docstrings" else folder(Path(name))


def _shuffled(texts: Sequence[str]) -> tuple[str, ...]:
    order = list(texts)
    random.Random(0).shuffle(order)
    return tuple(order)
