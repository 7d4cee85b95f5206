"""Stage *examples*: training documents with the queries that they answer, without text judged by an evaluation set.

Documents are selected by hashes of their keys: translations of a page are selected together, and every run selects the
same. Pages whose hash begins with ``HELD_OUT`` are not trained on; held-out quality is measured on them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

from recipe.leaks import CHUNK, LeakFilter, read_sets, split_rows
from recipe.pages import Page
from recipe.sources import all_pages

logger = logging.getLogger(__name__)

LIMITS = {
    "exams-wiki-hits": 15_000,
    "wordnet-glosses": 25_000,
    "wetten-nl": 12_000,
    "eltec-novels-es": 5_000,
    "eltec-novels-it": 5_000,
    "eltec-novels-pt": 5_000,
    "packages": 8_000,
    "office.parallel": 8_000,
    "messages.parallel": 12_000,
    "manuals": 1_200,
    "handbooks": 1_500,
    "applications": 1_500,
    "docstrings": 10_000,
    "details": 6_000,
}
"""Source -> maximum number of pages per language; sources not listed are used whole."""
OWN_QUERIES = 5
FOREIGN_QUERIES = 3
"""Queries kept for a document in its own language, and in each other language."""
HELD_OUT = "ff"
FILE = "documents.jsonl.gz"


@dataclass(frozen=True)
class Document:
    """A text, with the queries that it answers."""

    source: str
    key: str
    language: str
    text: str
    queries: tuple[str, ...]
    """Queries in the document's language."""
    foreign: tuple[tuple[str, str, str], ...]
    """Queries in other languages: language, text, and the same query in the document's language."""
    held_out: bool

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.text, *self.queries, *(text for _, text, _ in self.foreign))


def digest(*parts: str) -> str:
    return hashlib.sha1("\0".join(parts).encode()).hexdigest()


def page_key(key: str) -> str:
    """The key of the page that a passage belongs to."""
    return key.partition("#")[0]


def without_leaks(pages: Iterable[Page], leaks: LeakFilter) -> Iterator[Page]:
    """Drop pages judged by an evaluation set, and queries that an evaluation set asks."""
    dropped: Counter[str] = Counter()
    for part in split_rows(pages, CHUNK):
        texts = leaks.reasons([page.text for page in part])
        queries = iter(leaks.reasons([query for page in part for query in page.queries]))
        for page, reason in zip(part, texts, strict=True):
            kept = tuple(query for query in page.queries if not next(queries))
            if reason or leaks.is_judged(page_key(page.key)):
                dropped[page.source] += 1
            else:
                yield replace(page, queries=kept)
    for source, count in sorted(dropped.items()):
        logger.info("examples: left out %d pages of %s that an evaluation set judges", count, source)


def limit(pages: Iterable[Page]) -> dict[tuple[str, str], dict[str, Page]]:
    """Pages by (source, key) and language, at most ``LIMITS`` per source and language, in the sources' order.

    Whole documents are left out, so that adjacent passages stay together.
    """
    groups: dict[tuple[str, str], list[tuple[str, Page]]] = defaultdict(list)
    for page in pages:
        groups[page.source, page.language].append((digest(page.source, page_key(page.key)), page))
    chosen: dict[tuple[str, str], dict[str, Page]] = defaultdict(dict)
    for (source, _), found in sorted(groups.items()):
        for _, page in islice(sorted(found, key=lambda item: item[0]), LIMITS.get(source)):
            chosen[page.source, page.key][page.language] = page
    return chosen


def foreign_queries(page: Page, versions: dict[str, Page]) -> Iterator[tuple[str, str, str]]:
    """Queries of the page's translations; for a page without queries, the text of its translations."""
    for language, other in versions.items():
        if language == page.language:
            continue
        if not page.queries:
            yield language, other.text, page.text
        elif len(other.queries) == len(page.queries):
            yield from islice(
                ((language, *pair) for pair in zip(other.queries, page.queries, strict=True)), FOREIGN_QUERIES
            )


def choose_documents(pages: Iterable[Page]) -> Iterator[Document]:
    """Select the documents, in the order of their sources and pages."""
    for (source, key), versions in limit(pages).items():
        held_out = digest(source, page_key(key)).startswith(HELD_OUT)
        for language, page in sorted(versions.items()):
            foreign = tuple(foreign_queries(page, versions))
            yield Document(source, key, language, page.text, page.queries[:OWN_QUERIES], foreign, held_out)


def write_documents(documents: Iterable[Document], folder: Path) -> None:
    """Write ``documents.jsonl.gz``, and ``counts.json`` with the number of documents by source and language."""
    counts: Counter[str] = Counter()
    with gzip.open(folder / FILE, "wt", encoding="utf-8", compresslevel=1) as out:
        for document in documents:
            out.write(json.dumps(asdict(document), ensure_ascii=False) + "\n")
            counts[f"{document.source}-{document.language}"] += 1
    (folder / "counts.json").write_text(json.dumps(dict(sorted(counts.items())), indent=1) + "\n")
    logger.info("examples: %d documents", counts.total())


def read_documents(folder: Path) -> Iterator[Document]:
    """Read the stage's documents."""
    with gzip.open(folder / FILE, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield Document(**{**row, "queries": tuple(row["queries"]), "foreign": tuple(map(tuple, row["foreign"]))})


def leak_rows(documents: Iterable[Document]) -> Iterator[tuple[str, Sequence[str]]]:
    """Documents as rows for ``leaks.check``."""
    for document in documents:
        yield page_key(document.key), document.texts


def build_examples(texts: Path, data: Path, packages: Path, folder: Path) -> None:
    """Write the stage's files: documents of all sources, without those that a set under ``data`` judges."""
    leaks = LeakFilter(read_sets(data))
    write_documents(choose_documents(without_leaks(all_pages(texts, packages), leaks)), folder)
