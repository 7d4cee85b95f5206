"""Writing to an index: documents in and out in one transaction, small ones into the catalogue, many into a segment.

Documents that are added wait in the catalogue, with their vectors, until they hold `RECENT_TOKENS` tokens; then they
become a segment. A single small add so costs one transaction of SQLite and no file; more than that at once are written
as a segment at once.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats, Ints
from latelite.errors import DuplicateIdError, UnknownIdError
from latelite.storage.identifiers import DocumentId, decoded_id, encoded_id
from latelite.storage.merging import open_segment
from latelite.storage.pooling import delete_clusters, put_clusters
from latelite.storage.postings import add_postings
from latelite.storage.priority import rest
from latelite.storage.quantisation import best_grid
from latelite.storage.rows import find
from latelite.storage.schema import checksum
from latelite.storage.segments import BLOCK_TOKENS, SegmentEntry, SegmentWriter, largest_grid
from latelite.storage.snapshot import OpenSegment, Recent, Snapshot, runs
from latelite.storage.storage import Storage

RECENT_TOKENS = 4096
"""Tokens from which recent documents become a segment."""


class NewDocuments(Protocol):
    """Documents of one call, checked. Those of an index without texts need not say more than ids and vectors."""

    @property
    def ids(self) -> Sequence[DocumentId]: ...

    @property
    def lengths(self) -> Ints:
        """(documents,) tokens of each."""
        ...

    def blocks(self, tokens: int) -> Iterator[Floats]:
        """The token vectors of all documents as float32 blocks of about ``tokens`` rows."""
        ...

    def vectors(self, position: int) -> Floats:
        """(tokens, dim) of one document."""
        ...

    def text(self, position: int) -> str:
        return ""

    def metadata(self, position: int) -> str:
        """ASCII JSON."""
        return "{}"

    def terms(self, position: int) -> NDArray[np.uint32] | None:
        return None

    def truncated(self, position: int) -> bool:
        """Whether the vectors are those of the text's beginning only."""
        return False

    def clusters(self, position: int) -> Ints | None:
        """(tokens,) the vector that stands for each token of the text, where they are pooled."""
        return None


class Transaction:
    """What is written together. Other tables of the catalogue may be changed through `connection`."""

    def __init__(self, storage: Storage, connection: sqlite3.Connection, base: Snapshot) -> None:
        self.connection = connection
        self.base = base
        self.added_tokens = 0
        self.changed = False
        self.replaced = False
        """Whether segments are no longer named."""
        self._storage = storage
        if base.settings is not None:
            self.dim: int | None = base.settings.dim
            (self._next,) = connection.execute("SELECT next_number FROM state").fetchone()
        else:
            self.dim = storage.dim
            self._next = 1
        self.generation = base.generation + 1

    def put(
        self, documents: NewDocuments, *, dim: int, replacing: bool, numbers: Sequence[int] | None = None
    ) -> list[int]:
        """Add documents; returns their numbers.

        Args:
            replacing: remove documents of the same ids, which else are an error.
            numbers: to give them, ascending, and larger than any that was given before; None counts on.

        Raises:
            DuplicateIdError: an id is there already.
        """
        ids = list(documents.ids)
        present = [(id_, number) for id_, number in zip(ids, find(self.connection, ids), strict=True) if number]
        if present and not replacing:
            raise DuplicateIdError(f"The id {present[0][0]!r} is in the index already; update_documents replaces it.")
        self._delete([number for _, number in present])
        self.dim = dim
        if numbers is None:
            numbers = range(self._next, self._next + len(ids))
        elif len(numbers) and numbers[0] < self._next:
            raise ValueError(f"numbers must be at least {self._next}, not {numbers[0]}.")
        self._next = max([self._next, *(number + 1 for number in numbers[-1:])])
        for position, number in enumerate(numbers):
            tokens, truncated = int(documents.lengths[position]), int(documents.truncated(position))
            rest()
            row = (number, encoded_id(ids[position]), tokens, truncated, self.generation, documents.metadata(position))
            self._insert("documents", row)
            self._insert("texts", (number, _bindable(documents.text(position))))
            if (clusters := documents.clusters(position)) is not None:
                put_clusters(self.connection, number, clusters)
        total = int(documents.lengths.sum())
        self.added_tokens += total
        self.changed = True
        waiting = self.base.recent
        kept = self._still_recent(waiting)
        if total + sum(len(waiting.embeddings(place)) for place in kept) < RECENT_TOKENS:
            for position, number in enumerate(numbers):
                terms = documents.terms(position)
                data = np.ascontiguousarray(documents.vectors(position), "<f4").tobytes()
                self._insert("recent", (number, data, None if terms is None else terms.astype("<u4").tobytes()))
        else:
            self._write_segment(waiting, kept, documents, np.array(numbers, np.int64))
        return list(numbers)

    def flush(self) -> None:
        """Make a segment of the recent documents, however few they are."""
        waiting = self.base.recent
        if len(waiting):
            self._write_segment(waiting, list(range(len(waiting))), None, np.empty(0, np.int64))
            self.changed = True

    def remove(self, ids: Sequence[DocumentId]) -> None:
        """Remove documents.

        Raises:
            UnknownIdError: one of them is not there.
        """
        self._delete(self._numbers(ids, "removed"))
        self.changed = True

    def ids(self) -> Iterator[tuple[int, DocumentId]]:
        """Number and id of all documents."""
        for number, id_ in self.connection.execute("SELECT number, id FROM documents ORDER BY number"):
            yield number, decoded_id(id_)

    def update_metadata(self, ids: Sequence[DocumentId], metadata: Sequence[str]) -> None:
        """Replace the metadata (ASCII JSON) of documents.

        Raises:
            UnknownIdError: one of them is not there.
        """
        self.relabel(list(zip(self._numbers(ids), map(encoded_id, ids), metadata, strict=True)))

    def rename(self, ids: Sequence[DocumentId], new_ids: Sequence[DocumentId], metadata: Sequence[str]) -> None:
        """Give documents other ids and metadata (ASCII JSON); texts and vectors stay.

        Raises:
            UnknownIdError: one of them is not there.
            DuplicateIdError: a new id is that of another document.
        """
        numbers = self._numbers(ids)
        for new, number, taken in zip(new_ids, numbers, find(self.connection, new_ids), strict=True):
            if taken not in (None, number):
                raise DuplicateIdError(f"The id {new!r} is in the index already.")
        self.relabel(list(zip(numbers, map(encoded_id, new_ids), metadata, strict=True)))

    def relabel(self, labels: Sequence[tuple[int, str, str]]) -> None:
        """Give documents, by number, other ids (encoded) and metadata (ASCII JSON); ids may change places."""
        numbers, query = [label[:1] for label in labels], "SELECT tokens, truncated FROM documents WHERE number = ?"
        known = [self.connection.execute(query, number).fetchone() for number in numbers]
        self.connection.executemany("DELETE FROM documents WHERE number = ?", numbers)
        for (number, id_, metadata), row in zip(labels, known, strict=True):
            self._insert("documents", (number, id_, *row, self.generation, metadata))
        self.changed = True

    def _numbers(self, ids: Sequence[DocumentId], done: str = "changed") -> list[int]:
        """The numbers of documents; raises UnknownIdError for one that is not there."""
        numbers = []
        for id_, number in zip(ids, find(self.connection, ids), strict=True):
            if number is None:
                raise UnknownIdError(f"The id {id_!r} is not in the index; nothing was {done}.")
            numbers.append(number)
        return numbers

    def finish(self) -> None:
        """Write the state; the transaction is committed afterwards."""
        kind = self._storage.kind
        known = self.base.settings
        if self.dim is None or (not self.changed and known is not None):
            return
        fingerprint = (known.fingerprint if known else None) or self._storage.fingerprint
        identity = self.base.identity or secrets.token_hex(8)
        parameters = json.dumps(kind.parameters(), sort_keys=True)
        row = (1, identity, self.generation, self._next, kind.name, self.dim, kind.store, fingerprint, parameters)
        self._insert("state", row, "REPLACE")

    def replace_segments(self, parents: Sequence[OpenSegment], merged: SegmentEntry | None) -> None:
        """Name one segment instead of others."""
        for parent in parents:
            span = parent.entry.first, parent.entry.last
            self.connection.execute("DELETE FROM segments WHERE first = ?", span[:1])
            self.connection.execute("DELETE FROM removed WHERE number BETWEEN ? AND ?", span)
        if merged is not None:
            self._insert("segments", merged.row[:-1])
        self.changed = self.replaced = True

    def _insert(self, table: str, values: tuple[Any, ...], verb: str = "INSERT") -> None:
        marks = ",".join("?" * (len(values) + 1))
        self.connection.execute(f"{verb} INTO {table} VALUES ({marks})", (*values, checksum(*values)))

    def _delete(self, numbers: Sequence[int]) -> None:
        """Remove documents of the state before this transaction."""
        recent = set(self.base.recent.numbers.tolist())
        gone: dict[int, list[int]] = {}
        for number in numbers:
            if number not in recent:
                part, _ = self.base.locate(number)
                assert isinstance(part, OpenSegment)
                gone.setdefault(part.entry.first, []).append(number)
        for chunk in runs(numbers):
            marks = ",".join("?" * len(chunk))
            for table in ("documents", "texts", "recent"):
                self.connection.execute(f"DELETE FROM {table} WHERE number IN ({marks})", chunk)
        delete_clusters(self.connection, numbers)
        segments = {segment.entry.first: segment for segment in self.base.segments}
        for first, those in gone.items():
            self.connection.executemany("INSERT INTO removed VALUES (?)", [(number,) for number in those])
            self._count_removed(segments[first], len(those))

    def _count_removed(self, segment: OpenSegment, count: int) -> None:
        columns = "first, last, name, documents, tokens, removed, layout, checksum"
        row = self.connection.execute(
            f"SELECT {columns} FROM segments WHERE first = ?", (segment.entry.first,)
        ).fetchone()
        entry = SegmentEntry.of_row(row, self._storage.catalogue.path)
        entry = replace(entry, removed=entry.removed + count)
        if entry.live:
            self._insert("segments", entry.row[:-1], "REPLACE")
        else:
            self.replace_segments([segment], None)

    def _still_recent(self, waiting: Recent) -> list[int]:
        """Positions of the recent documents that this transaction has not removed."""
        left = {number for (number,) in self.connection.execute("SELECT number FROM recent")}
        return [place for place, number in enumerate(waiting.numbers.tolist()) if number in left]

    def _write_segment(self, waiting: Recent, kept: list[int], documents: NewDocuments | None, numbers: Ints) -> None:
        """Recent documents and new ones into a segment."""
        storage = self._storage
        dim = waiting.tokens.shape[1] if documents is None else int(documents.vectors(0).shape[1])
        new = range(len(numbers))
        lengths = np.diff(waiting.offsets)[kept]

        def blocks() -> Iterator[Floats]:
            waited = (waiting.embeddings(place) for place in kept)
            return waited if documents is None else chain(waited, documents.blocks(BLOCK_TOKENS))

        grid = None
        if storage.kind.store == "int8":
            grid = best_grid(largest_grid(part.files for part in self.base.segments), blocks)
        everyone = np.concatenate([waiting.numbers[kept], numbers])
        terms = [waiting.terms[place] for place in kept]
        if documents is not None:
            lengths = np.concatenate([lengths, documents.lengths])
            terms += [documents.terms(position) for position in new]
        with SegmentWriter(storage.folder, int(everyone[0])) as writer:
            tokens = blocks() if grid is None else (grid.encode(block) for block in blocks())
            writer.add_documents(everyone, lengths, tokens, dim=dim, grid=grid)
            if storage.lexical:
                add_postings(writer, [each for each in terms if each is not None])
            sidecar = storage.kind.build(writer, [], self.base)
        open_segment(storage, writer.entry(), sidecar, dim)
        self._insert("segments", writer.entry().row[:-1])
        self.connection.execute("DELETE FROM recent")


def _bindable(text: str) -> str | bytes:
    """A text as SQLite takes it: one that is no well-formed Unicode as bytes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text
