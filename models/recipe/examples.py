"""Stage *examples*: which texts are encoded, and which queries belong to which documents.

Everything is chosen by hashes of keys, so that translations of a page are chosen together and a second run chooses
the same. Pages whose hash begins with ``HELD_OUT`` are never trained on; they measure progress.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recipe import corpus, questions
from recipe.pages import Page
from recipe.pins import LANGUAGES
from recipe.sources import all_pages

logger = logging.getLogger(__name__)

LIMITS = {
    "segments": 5_000,
    "packages": 6_000,
    "abstracts": 3_000,
    "stories": 2_000,
    "definitions": 20_000,
    "manuals": 1_200,
    "handbooks": 1_100,
    "applications": 900,
    "skies": 400,
    "sayings": 1_000,
    "computing": 3_000,
    "glosses": 25_000,
    "messages": 8_000,
    "reference": 8_000,
    "docstrings": 16_000,
    "details": 10_000,
}
"""Most pages of one source in one language; the others are taken whole."""
OWN_QUERIES = 5
FOREIGN_QUERIES = 3
"""Queries kept for a document in its own language, and in other languages."""
HELD_OUT = "f"
MIXTURES = {"mixtures": (400, 1), "vocabulary": (1_200, 2)}
"""Passages of random words per language, and their seed: for the vocabulary's breadth."""
MIXTURE_WORDS = 80
MIXTURE_FORMS = 40_000
PROSE = (
    "stories", "handbooks", "applications", "skies", "sayings", "desktop", "office", *MIXTURES, "glosses", "reference",
    "docstrings",
)  # fmt: skip
"""Sources whose pages are asked for by a span of their text, too."""
TITLED = ("office", "desktop", "handbooks", "applications", "manuals", "reference", "docstrings")
"""Sources whose titles make questions."""


def digest(*parts: str) -> str:
    return hashlib.sha1("\0".join(parts).encode()).hexdigest()


class Texts:
    """Texts by role, each once."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []
        self._known: dict[tuple[str, str], int] = {}

    def add(self, role: str, text: str) -> int:
        row = (role, text)
        if row not in self._known:
            self._known[row] = len(self.rows)
            self.rows.append(row)
        return self._known[row]


def limited(pages: Iterable[Page]) -> dict[tuple[str, str], dict[str, Page]]:
    """Pages by (source, key) and language, no more than ``LIMITS`` of each source and language."""
    groups: dict[tuple[str, str], list[tuple[str, Page]]] = defaultdict(list)
    for page in pages:
        groups[page.source, page.language].append((digest(page.source, page.key), page))
    chosen: dict[tuple[str, str], dict[str, Page]] = defaultdict(dict)
    for (source, _), found in sorted(groups.items()):
        for _, page in islice(sorted(found, key=lambda item: item[0]), LIMITS.get(source)):
            chosen[page.source, page.key][page.language] = page
    return chosen


def own_queries(source: str, language: str, text: str, queries: Sequence[str]) -> list[str]:
    """The queries that come with a page, then what `questions` makes of it."""
    found = list(queries[:OWN_QUERIES])
    if source in TITLED and queries:
        found.append(questions.of_title(language, queries[0]))
    if source in PROSE and (question := questions.of_text(language, text)):
        found.append(question)
    return found


def asked(page: Page) -> tuple[str, ...]:
    """Queries of a page; a page without any is asked for by its translations' text, so that is its query here."""
    return page.queries[:OWN_QUERIES] or (page.text,)


def choose_examples(pages: Iterable[Page], words: Path, folder: Path) -> None:
    """Write ``texts.jsonl`` (role, text) and ``documents.jsonl`` (text, source, language, queries) to ``folder``."""
    texts = Texts()
    documents = []
    for (source, key), versions in sorted(limited(pages).items()):
        name = digest(source, key)
        for language, page in sorted(versions.items()):
            queries = [(language, text) for text in own_queries(source, language, page.text, page.queries)]
            foreign = [
                (digest(name, language, other, text), other, text)
                for other, version in versions.items()
                if other != language
                for text in asked(version)
            ]
            foreign += [(digest(name, language, other, text), other, text) for other, text in page.foreign]
            queries += [(other, text) for _, other, text in sorted(foreign)[:FOREIGN_QUERIES]]
            documents.append(
                {
                    "text": texts.add("document", page.text),
                    "source": source,
                    "language": language,
                    "held_out": name.startswith(HELD_OUT),
                    "queries": [[other, texts.add("query", text)] for other, text in queries],
                }
            )
    for language in LANGUAGES:
        forms = list(islice(corpus.word_frequencies(words, language), MIXTURE_FORMS))
        for source, (count, seed) in MIXTURES.items():
            for text in corpus.mixtures(forms, count, MIXTURE_WORDS, seed):
                row = {"text": texts.add("document", text), "source": source, "language": language, "held_out": False}
                asked_for = own_queries(source, language, text, ())
                documents.append({**row, "queries": [[language, texts.add("query", query)] for query in asked_for]})
    write_lines(folder / "texts.jsonl", ({"role": role, "text": text} for role, text in texts.rows))
    write_lines(folder / "documents.jsonl", documents)
    counts: dict[str, int] = defaultdict(int)
    for row in documents:
        counts[f"{row['source']}-{row['language']}"] += 1
    (folder / "counts.json").write_text(json.dumps(counts, indent=1) + "\n")
    logger.info("examples: %d texts, %d documents", len(texts.rows), len(documents))


def write_lines(path: Path, rows: Iterable[object]) -> None:
    with path.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_texts(folder: Path) -> tuple[list[str], NDArray[np.bool_]]:
    """The texts, and which of them are queries."""
    with (folder / "texts.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row["text"] for row in rows], np.array([row["role"] == "query" for row in rows])


def read_documents(folder: Path) -> Iterator[dict[str, Any]]:
    """The documents: number of their text, source, language, whether held out, and ``[language, text]`` of queries."""
    with (folder / "documents.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def build_examples(texts: Path, data: Path, packages: Path, words: Path, folder: Path) -> None:
    choose_examples(all_pages(texts, data, packages), words, folder)
