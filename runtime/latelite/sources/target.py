"""The target of a run: a collection or, for a dry run, a copy of its tables of files."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from latelite import memory
from latelite.arrays import Floats, Ints
from latelite.errors import IndexNotFoundError
from latelite.models import ColBERT
from latelite.sources.batch import Batch, Change
from latelite.sources.catalogue import SourceCatalogue, Stored, digest
from latelite.storage.identifiers import decoded_id
from latelite.storage.storage import Storage
from latelite.storage.writer import Writer
from latelite.storage.writing import Transaction
from latelite.texts import EncodedTexts, Text, batches, encode

logger = logging.getLogger(__name__)

_REMEMBERED = 64  # texts whose vectors are cached; some texts, such as licences, occur in many files


class CollectionTarget:
    """A collection; documents and tables change in the same transaction."""

    def __init__(self, storage: Storage, writer: Writer, model: ColBERT, pool_factor: int) -> None:
        self._storage = storage
        self._writer = writer
        self._model = model
        self._pool_factor = pool_factor
        self._remembered: OrderedDict[bytes, tuple[Floats, bool, NDArray[np.uint32], Ints | None]] = OrderedDict()

    @contextlib.contextmanager
    def reading(self) -> Iterator[SourceCatalogue]:
        """The tables in their committed state."""
        with self._storage.reading() as connection:
            if connection is None:
                raise IndexNotFoundError(f"{self._storage.catalogue.path} is missing from the collection.")
            yield SourceCatalogue(connection)

    @contextlib.contextmanager
    def writing(self) -> Iterator[SourceCatalogue]:
        """The tables in a transaction."""
        with self._writer.transaction() as transaction:
            yield SourceCatalogue(transaction.connection)

    def apply(self, batch: Batch, on_encoded: Callable[[int], object]) -> None:
        """Apply a batch in one transaction.

        Raises:
            IndexLockedError: another writer still has the lock after the collection's ``timeout``.
            IndexWriteError: disk full or no permission; nothing was changed.
        """
        if batch.put:
            self._writer.check_possible()
        group = self._encode(list(batch.put.values()), on_encoded)
        if group.full:
            memory.give_back()
        with self._writer.transaction() as transaction:
            self._change(transaction, batch)
            if group.texts:
                transaction.put(group, dim=self._model.dim, replacing=True)
            batch.record(SourceCatalogue(transaction.connection))
        tokens, full = group.tokens, group.full
        del group
        if full:
            memory.give_back()
        self._writer.tidy(tokens)

    def _change(self, transaction: Transaction, batch: Batch) -> None:
        """Apply everything except new documents."""
        removed = [id_ for id_, stored in batch.removed.items() if _is_ours(transaction.connection, id_, stored)]
        if removed:
            transaction.remove([decoded_id(id_) for id_ in removed])
        if batch.moved:
            changes = [(old, change) for old, change in batch.moved.values()]
            transaction.rename(
                [decoded_id(old) for old, _ in changes],
                [decoded_id(change.id) for _, change in changes],
                [change.metadata for _, change in changes],
            )
        if batch.updated:
            ids = [decoded_id(id_) for id_ in batch.updated]
            transaction.update_metadata(ids, [change.metadata for change in batch.updated.values()])

    def _encode(self, changes: Sequence[Change], on_encoded: Callable[[int], object]) -> EncodedTexts:
        """Encode the new documents; a text that occurs several times is encoded once."""
        missing = {each.text_digest: each for each in changes if each.text_digest not in self._remembered}
        waiting = iter([Text(decoded_id(each.id), each.text, each.metadata) for each in missing.values()])
        found = {
            each.text_digest: self._remembered[each.text_digest]
            for each in changes
            if each.text_digest in self._remembered
        }
        digests = iter(missing)
        for some in batches(waiting, self._model.document_room):
            group = EncodedTexts()
            encode(self._model, some, group, pool_factor=self._pool_factor)
            for encoded in zip(group.arrays, group.cut, group.words, group.pooled, strict=True):
                found[next(digests)] = encoded
            on_encoded(len(some))
        on_encoded(len(changes) - len(missing))
        for key, value in found.items():
            self._remembered[key] = value
            self._remembered.move_to_end(key)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        result = EncodedTexts()
        for change in changes:
            vectors, cut, words, pooled = found[change.text_digest]
            result.texts.append(Text(decoded_id(change.id), change.text, change.metadata))
            result.arrays.append(vectors)
            result.pooled.append(pooled)
            result.cut.append(cut)
            result.words.append(words)
        return result


class DryTarget:
    """An in-memory copy of the tables; documents are neither encoded nor changed."""

    def __init__(self, source: sqlite3.Connection | None) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.execute("CREATE TABLE documents (id TEXT PRIMARY KEY)")
        self._catalogue = SourceCatalogue(self._connection)
        self._catalogue.create()
        if source is not None:
            self._copy(source)

    def _copy(self, source: sqlite3.Connection) -> None:
        names = {name for (name,) in source.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        for table, columns in (("documents", "id"), ("sources", "*"), ("files", "*"), ("passages", "*")):
            if table in names:
                rows = source.execute(f"SELECT {columns} FROM {table}")
                marks = ",".join("?" * len(rows.description))
                self._connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)

    @contextlib.contextmanager
    def reading(self) -> Iterator[SourceCatalogue]:
        """The copy."""
        yield self._catalogue

    @contextlib.contextmanager
    def writing(self) -> Iterator[SourceCatalogue]:
        """The copy."""
        yield self._catalogue

    def apply(self, batch: Batch, on_encoded: Callable[[int], object]) -> None:
        """Apply the batch to the copy."""
        gone = [*batch.removed, *(old for old, _ in batch.moved.values())]
        self._connection.executemany("DELETE FROM documents WHERE id = ?", [(id_,) for id_ in gone])
        new = [(id_,) for id_ in (*batch.moved, *batch.put)]
        self._connection.executemany("INSERT OR IGNORE INTO documents VALUES (?)", new)
        batch.record(self._catalogue)
        on_encoded(len(batch.put))

    @property
    def documents(self) -> int:
        """Number of documents that there would be."""
        return int(self._connection.execute("SELECT count(*) FROM documents").fetchone()[0])

    def close(self) -> None:
        """Close the copy."""
        self._connection.close()


def _is_ours(connection: sqlite3.Connection, id: str, stored: Stored) -> bool:
    """Whether the document is still the one made from a file, not a replacement by somebody else."""
    query = "SELECT text FROM texts WHERE number = (SELECT number FROM documents WHERE id = ?)"
    row = connection.execute(query, (id,)).fetchone()
    if row is None:
        return False
    text = row[0].decode("utf-8", "surrogatepass") if isinstance(row[0], bytes) else row[0]
    return digest(text) == stored.text
