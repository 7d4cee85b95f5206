"""Passages: the documents that a file becomes in a collection."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from latelite.sources.blocks import Block, Record
from latelite.sources.cutter import VERSION, cut
from latelite.sources.formats import plain
from latelite.sources.pieces import Count

_CHARACTERS_PER_TOKEN = 16
"""Maximum characters per token: a tokenizer without Chinese encodes a whole page of it as one unknown token."""

_ID_DIGITS = 10


@dataclass(frozen=True)
class Passage:
    """One document of a collection."""

    id: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    """For a passage: ``path`` and, if known, ``line``, ``page``, ``heading`` (the headings above it, joined by " > "),
    ``title``. For a document in JSON lines: its own metadata, plus ``document`` (its id) if it was cut into several."""


class Measure:
    """Measures passages in tokens of the model that will encode them.

    Args:
        count: counts the tokens of texts, see `latelite.models.ColBERT.counts`.
        room: maximum tokens of a passage.
        length: maximum characters of a passage; None: no limit.
    """

    def __init__(self, count: Callable[[Sequence[str]], list[int]], room: int, length: int | None = None) -> None:
        self._count = count
        self.limit = room
        self.characters = min(length or math.inf, _CHARACTERS_PER_TOKEN * room)
        self.settings = f"{VERSION}:{room}:{length or 0}"
        """Identifies everything that decides where passages are cut."""

    @property
    def count(self) -> Count:
        """A text's length in tokens or in characters, each relative to its maximum, whichever is larger."""
        scale = self.limit / self.characters

        def counted(texts: Sequence[str]) -> list[int]:
            tokens = self._count(texts)
            return [max(n, math.ceil(scale * len(text))) for n, text in zip(tokens, texts, strict=True)]

        return counted


def passages_of(items: Iterable[Block | Record], path: str, measure: Measure) -> Iterator[tuple[Passage, str]]:
    """The passages of a file, each with its position ("line 3", "page 7").

    The first passage of a file has the id ``path#1``, so that a short note keeps its id when it is edited. The ids of
    the others contain a hash of their text, so that they stay the same if the text moves within the file.

    Args:
        items: from `latelite.sources.extraction.extract`.
        path: path of the file as in ids and metadata.
        measure: limits of a passage.
    """
    ids = _Ids(path)
    for kind, some in groupby(items, key=type):
        if kind is Record:
            for record in some:
                assert isinstance(record, Record)
                yield from ((passage, f"line {record.line}") for passage in _of_record(record, measure))
        else:
            for piece in cut(some, measure.count, limit=measure.limit):  # type: ignore[arg-type]
                yield Passage(ids.next(piece.text), piece.text, _metadata(path, piece.start)), _place(piece.start)


def _of_record(record: Record, measure: Measure) -> Iterator[Passage]:
    if len(record.text) <= measure.characters and measure.count([record.text])[0] <= measure.limit:
        yield Passage(record.id, record.text, record.metadata)
        return
    ids = _Ids(record.id)
    for piece in cut(plain.read(io.StringIO(record.text)), measure.count, limit=measure.limit):
        yield Passage(ids.next(piece.text), piece.text, {**record.metadata, "document": record.id})


def _metadata(path: str, block: Block) -> dict[str, Any]:
    known = {
        "line": block.line,
        "page": block.page,
        "heading": " > ".join(block.headings) or None,
        "title": block.title,
    }
    return {"path": path, **{name: value for name, value in known.items() if value is not None}}


def _place(block: Block) -> str:
    return f"page {block.page}" if block.page is not None else f"line {block.line}"


class _Ids:
    """Ids of the passages of a file; equal texts are numbered."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._begun = False
        self._seen: set[int] = set()
        self._repeated: dict[int, int] = {}

    def next(self, text: str) -> str:
        if not self._begun:
            self._begun = True
            return f"{self._prefix}#1"
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_ID_DIGITS // 2).hexdigest()
        number = int(digest, 16)
        if number not in self._seen:
            self._seen.add(number)
            return f"{self._prefix}#{digest}"
        self._repeated[number] = self._repeated.get(number, 1) + 1
        return f"{self._prefix}#{digest}-{self._repeated[number]}"
