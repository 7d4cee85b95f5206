"""Leak detection: training must not read the judged documents and questions of any evaluation set.

A text leaks if it is the page of a judged document (the same id), if it shares a run of ``RUN`` words with a judged
document or a question, or if it is a question. Texts are checked against all sets, because sets are translations and
parts of each other. Runs that occur in many documents of one set (boilerplate of help pages) do not count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recipe.errors import LeakError
from recipe.wheels import sha256

RUN = 10
"""Number of words in a run."""
BOILERPLATE = 8
"""A run in more than this many documents of one set is boilerplate."""
SHORT = 4
"""Questions with fewer words ("format menu") may occur in training."""
WORD = re.compile(r"\w+")
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

CHUNK = 5_000
"""Number of texts checked at a time."""

Hashes = NDArray[np.uint64]
T = TypeVar("T")


def words(text: str) -> list[str]:
    return WORD.findall(text.lower())


@dataclass(frozen=True)
class Evaluated:
    """The judged texts of a set in BEIR layout."""

    name: str
    documents: dict[str, str]
    """Id -> title and text of the judged documents."""
    queries: tuple[str, ...]
    corpus: tuple[str, ...]
    """All documents, to find boilerplate."""


def read_set(folder: Path) -> Evaluated:
    """Read the judged texts from a folder with ``corpus.jsonl``, ``queries.jsonl`` and ``qrels.tsv``."""
    judged, asked = set(), set()
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if float(grade) > 0:
            judged.add(document)
            asked.add(query)
    corpus = {row["_id"]: f"{row.get('title', '')} {row['text']}" for row in _lines(folder / "corpus.jsonl")}
    queries = tuple(row["text"] for row in _lines(folder / "queries.jsonl") if row["_id"] in asked)
    documents = {name: text for name, text in corpus.items() if name in judged}
    return Evaluated(folder.name, documents, queries, tuple(corpus.values()))


def read_sets(data: Path) -> list[Evaluated]:
    """Read every set under ``data``."""
    found = [read_set(path.parent) for path in sorted(data.glob("*/qrels.tsv"))]
    if not found:
        raise LeakError(f"{data} has no evaluation set (SET/qrels.tsv), so leaks cannot be ruled out")
    return found


class LeakFilter:
    """Detects texts that leak an evaluation set."""

    def __init__(self, sets: Iterable[Evaluated]) -> None:
        sets = list(sets)
        self._ids = {name for one in sets for name in one.documents}
        self._questions = {
            " ".join(found) for one in sets for query in one.queries if len(found := words(query)) >= SHORT
        }
        self._known: dict[str, int] = {}
        for one in sets:
            for text in (*one.documents.values(), *one.queries):
                for word in words(text):
                    self._known.setdefault(word, len(self._known) + 1)
        judged: list[Hashes] = []
        for one in sets:
            runs, owner = self._runs_of([words(text) for text in one.corpus])
            different = np.unique(np.stack([runs, owner.astype(np.uint64)]), axis=1)[0]
            often, counts = np.unique(different, return_counts=True)
            own, _ = self._runs_of([words(text) for text in (*one.documents.values(), *one.queries)])
            judged.append(np.setdiff1d(own, often[counts > BOILERPLATE]))
        self._runs = np.unique(np.concatenate(judged)) if judged else np.empty(0, np.uint64)

    def _runs_of(self, texts: Sequence[Sequence[str]]) -> tuple[Hashes, NDArray[np.int64]]:
        """Hash of every run of words that occur in evaluation sets, and the index of its text; both ``(runs,)``."""
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        known = self._known
        ids = np.fromiter((known.get(word, 0) for text in texts for word in text), np.uint64, lengths.sum())
        if len(ids) < RUN:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        owner = np.repeat(np.arange(len(texts)), lengths)
        unknown = np.concatenate([[0], np.cumsum(ids == 0)])
        starts = np.arange(len(ids) - RUN + 1)
        whole = (unknown[starts + RUN] == unknown[starts]) & (owner[starts] == owner[starts + RUN - 1])
        starts = starts[whole]
        value: Hashes = np.zeros(len(starts), dtype=np.uint64)
        for at in range(RUN):
            value = (value ^ ids[starts + at]) * MULTIPLIER
            value ^= value >> np.uint64(29)
        return value, owner[starts]

    def reasons(self, texts: Sequence[str]) -> list[str | None]:
        """Why each text must not be trained on; ``None`` if it may be."""
        found = [words(text) for text in texts]
        runs, owner = self._runs_of(found)
        place = np.minimum(np.searchsorted(self._runs, runs), max(0, len(self._runs) - 1))
        leaking = set(owner[self._runs[place] == runs].tolist()) if len(self._runs) else set()
        return [
            "it is a question of an evaluation set" if len(text) >= SHORT and " ".join(text) in self._questions
            else f"it shares {RUN} words in a row with a judged text" if number in leaking else None
            for number, text in enumerate(found)
        ]  # fmt: skip

    def is_judged(self, key: str) -> bool:
        """Whether a page's key is the id of a judged document."""
        return key in self._ids


def check(leaks: LeakFilter, rows: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Raise LeakError if any text of ``rows``, pairs of a key and its texts, must not be trained on."""
    for part in split_rows(rows, CHUNK):
        for key, _ in part:
            if leaks.is_judged(key):
                raise LeakError(f"{key} is a judged page of an evaluation set: training would read its answers")
        texts = [(key, text) for key, found in part for text in found]
        for (key, text), reason in zip(texts, leaks.reasons([text for _, text in texts]), strict=True):
            if reason:
                raise LeakError(f"{key}: {text[:60]!r} must not be trained on: {reason}")


def split_rows(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Split the rows into lists of ``size``."""
    iterator = iter(rows)
    while part := list(islice(iterator, size)):
        yield part


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def fingerprint(data: Path) -> dict[str, str]:
    """SHA-256 of every file that defines the judgements, by set and name."""
    names = ("corpus.jsonl", "queries.jsonl", "qrels.tsv")
    folders = [path.parent for path in sorted(data.glob("*/qrels.tsv"))]
    return {f"{folder.name}/{name}": sha256(folder / name) for folder in folders for name in names}
