"""What the catalogue says of documents: ids, texts and metadata by number, and which documents meet a condition."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from latelite.arrays import Ints, Mask
from latelite.errors import IndexCorruptError
from latelite.storage.catalogue import Catalogue
from latelite.storage.identifiers import DocumentId, decoded_id, encoded_id
from latelite.storage.schema import check_row
from latelite.storage.snapshot import Snapshot, runs


class Moved(Exception):
    """A writer changed what was being read: ask again with a newer snapshot."""


@dataclass(frozen=True)
class Row:
    """What the catalogue holds of one document."""

    number: int
    id: DocumentId
    text: str
    metadata: dict[str, Any]
    truncated: bool
    """Whether the encoder read only the beginning of the text."""


class Rows:
    """Reads documents of one catalogue; what depends on a snapshot raises `Moved` where that is no longer the state."""

    catalogue: Catalogue

    def check_open(self) -> None:
        """Raise StoreError when the index was closed."""
        raise NotImplementedError

    def reading(self) -> AbstractContextManager[sqlite3.Connection | None]:
        """`Catalogue.reading`, for an index that is open."""
        self.check_open()
        return self.catalogue.reading()

    def check_row(self, row: Sequence[Any] | None, kinds: Sequence[Any], what: str) -> None:
        """See `latelite.storage.catalogue.check_row`."""
        check_row(row, kinds, what, self.catalogue.path)

    def find(self, ids: Iterable[DocumentId]) -> list[int | None]:
        """The number of each document, None for ids that are not there; of the state that is committed now."""
        with self.reading() as connection:
            return [None for _ in ids] if connection is None else find(connection, ids)

    def rows(self, view: Snapshot, numbers: Iterable[int]) -> list[Row]:
        """Id, text and metadata of documents that ``view`` has, in one transaction.

        Raises:
            Moved: one of them was removed or changed since.
            IndexCorruptError: a row does not have its checksum.
        """
        wanted = list(numbers)
        if not wanted:
            return []
        with self.reading() as connection:
            if connection is None:
                raise Moved
            found = {row.number: row for row in self.checked_rows(connection, wanted, view.generation)}
            state = connection.execute("SELECT identity, generation FROM state").fetchone()
            if state is None or state[0] != view.identity:
                raise Moved
            if len(found) != len(set(wanted)):
                if state[1] == view.generation:
                    raise IndexCorruptError(f"{self.catalogue.path} is damaged: a document is missing.")
                raise Moved
        return [found[number] for number in wanted]

    def checked_rows(
        self, connection: sqlite3.Connection, numbers: Iterable[int], generation: int | None
    ) -> Iterator[Row]:
        """Rows of the state of now; raises Moved for one that changed after ``generation``."""
        for chunk in runs(numbers):
            marks = ",".join("?" * len(chunk))
            documents = connection.execute(
                "SELECT number, id, tokens, truncated, generation, metadata, checksum FROM documents "
                f"WHERE number IN ({marks})",
                chunk,
            ).fetchall()
            texts = {
                row[0]: row
                for row in connection.execute(
                    f"SELECT number, text, checksum FROM texts WHERE number IN ({marks})", chunk
                )
            }
            for row in documents:
                number, id_, _, truncated, changed, metadata, _ = row
                self.check_row(row, (int, str, int, int, int, str), f"the entry of document {str(id_)[:200]}")
                text = texts.get(number)
                if text is None:
                    raise IndexCorruptError(f"{self.catalogue.path} is damaged: document {id_} has no text.")
                self.check_row(text, (int, str | bytes), f"the text of document {id_}")
                if generation is not None and changed > generation:
                    raise Moved
                fields = self.parsed(metadata, id_)
                yield Row(number, self._id(id_), self._text(text[1], id_), fields, bool(truncated))

    def parsed(self, metadata: str, id_: Any) -> dict[str, Any]:
        """The metadata of a document; raises IndexCorruptError where it is no JSON object."""
        try:
            return dict(json.loads(metadata))
        except (TypeError, ValueError, RecursionError) as error:
            raise IndexCorruptError(
                f"{self.catalogue.path} is damaged: the metadata of document {id_} is no JSON object."
            ) from error

    def _text(self, stored: str | bytes, id_: str) -> str:
        try:
            return stored.decode("utf-8", "surrogatepass") if isinstance(stored, bytes) else stored
        except ValueError as error:
            raise IndexCorruptError(f"{self.catalogue.path} is damaged: the text of document {id_} is none.") from error

    def _id(self, text: Any) -> DocumentId:
        try:
            return decoded_id(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise IndexCorruptError(f"{self.catalogue.path} is damaged: {str(text)[:200]!r} is no id.") from error

    def is_at(self, connection: sqlite3.Connection, view: Snapshot) -> bool:
        """Whether ``view`` is what is committed now."""
        found = connection.execute("SELECT identity, generation FROM state").fetchone()
        return found == (view.identity, view.generation) if view.settings is not None else found is None

    def matching(self, view: Snapshot, condition: str, values: Sequence[Any] = ()) -> list[Mask]:
        """Per part of ``view`` the live documents whose row of ``documents`` meets an SQL condition.

        Args:
            condition: over the columns of ``documents``; ``metadata`` is ASCII JSON.
            values: of its question marks.

        Raises:
            Moved: the index is no longer in the state of ``view``.
        """
        with self.reading() as connection:
            if connection is None or (view.settings is None and self.is_at(connection, view)):
                return view.masks(np.empty(0, np.int64))
            if not self.is_at(connection, view):
                raise Moved
            # One text with all numbers comes over in half the time of as many rows, and may be in any order.
            query = f"SELECT group_concat(number, ' ') FROM documents WHERE {condition}"
            (found,) = connection.execute(query, values).fetchone()
        return view.masks(np.sort(np.fromstring(found or "", np.int64, sep=" ")))

    def metadata(self, view: Snapshot) -> list[tuple[int, dict[str, Any]]]:
        """Number and metadata of all documents of ``view``; raises Moved as `matching`."""
        with self.reading() as connection:
            if connection is None or (view.settings is None and self.is_at(connection, view)):
                return []
            if not self.is_at(connection, view):
                raise Moved
            rows = connection.execute("SELECT number, metadata FROM documents ORDER BY number")
            return [(number, self.parsed(metadata, f"number {number}")) for number, metadata in rows]

    def ids(self) -> list[DocumentId]:
        """Ids of all documents in the order of insertion."""
        with self.reading() as connection:
            if connection is None:
                return []
            return [self._id(id_) for (id_,) in connection.execute("SELECT id FROM documents ORDER BY number")]

    def names(self, numbers: Ints) -> str:
        """The ids of documents, for a message: the first ten of them."""
        with self.reading() as connection:
            if connection is None:
                return f"{len(numbers)} documents"
            found = []
            for number in numbers[:10].tolist():
                row = connection.execute("SELECT id FROM documents WHERE number = ?", (number,)).fetchone()
                found.append("(removed)" if row is None else row[0])
        more = f" and {len(numbers) - 10} more documents" if len(numbers) > 10 else ""
        return ("document " if len(numbers) == 1 else "documents ") + ", ".join(found) + more


def find(connection: sqlite3.Connection, ids: Iterable[DocumentId]) -> list[int | None]:
    """The number of each document, None for ids that are not there."""
    found: list[int | None] = []
    for id_ in ids:
        row = connection.execute("SELECT number FROM documents WHERE id = ?", (encoded_id(id_),)).fetchone()
        found.append(None if row is None else row[0])
    return found
