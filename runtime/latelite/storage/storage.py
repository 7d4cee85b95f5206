"""One index on the disk, as it is read: opening it, following what writers commit, and rows by number.

    <folder>/
        documents.sqlite    the catalogue, see `latelite.storage.catalogue`
        segments/<name>/    immutable, see `latelite.storage.segments`

**For whoever searches.** `Storage.view` gives the `Snapshot` to rank with; it costs a few microseconds when nothing
changed. `Storage.rows` gives ids, texts and metadata of the best documents, and `Storage.matching` the masks of an SQL
condition on metadata. Both raise `Moved` when what they read is no longer what the snapshot saw; `Storage.read` calls
again with a newer one until an answer belongs to one state:

    storage.read(lambda view: storage.rows(view, rank(view, storage.matching(view, "...", [...]))))

Lexical postings of a segment are arrays of its file under the prefix ``postings``: ``part.files.arrays``. Recent
documents have their terms in ``view.recent.terms``.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from latelite.arrays import Floats, Ints, Mask
from latelite.errors import (
    IndexCorruptError,
    IndexLockedError,
    IndexMismatchError,
    IndexNotFoundError,
    IndexVersionError,
    StoreError,
)
from latelite.storage.catalogue import CATALOGUE, JOURNAL, Catalogue, check_row, check_schema
from latelite.storage.folders import LITTER, refuse_link
from latelite.storage.identifiers import DocumentId, decoded_id, encoded_id
from latelite.storage.postings import verify_postings
from latelite.storage.segments import SEGMENTS, Segment, SegmentEntry, SegmentWriter
from latelite.storage.snapshot import NOTHING, OpenSegment, Recent, Settings, Snapshot, runs

logger = logging.getLogger(__name__)

_ATTEMPTS = 50
_FORMER = "CURRENT.json"
"""The pointer file of the format before this one."""

Answer = TypeVar("Answer")


class Moved(Exception):
    """A writer changed what was being read: ask again with a newer snapshot."""


class Kind(Protocol):
    """What a kind of index adds to the vectors. `latelite.indexes` has the kinds."""

    @property
    def name(self) -> str: ...

    store: str
    """How token vectors are kept: ``"int8"`` or ``"float32"``."""

    def parameters(self) -> dict[str, Any]:
        """Settings that are recorded in the catalogue."""
        ...

    def adopt(self, settings: Settings) -> None:
        """Take over recorded settings where the caller named none."""
        ...

    def build(self, writer: SegmentWriter, parents: Sequence[OpenSegment], base: Snapshot) -> Any:
        """Add the sidecar of this kind to a new segment whose vectors are written.

        Args:
            parents: the segments that it was merged from, where it was.
            base: the state before.

        Returns:
            What `load` would return for it, where that is at hand; else None.
        """
        ...

    def load(self, segment: Segment) -> Any:
        """Open the sidecar of a segment; None where it has none and is scanned."""
        ...

    def verify(self, segment: Segment) -> None:
        """Compare the files beside the arrays with their checksums."""
        ...


@dataclass(frozen=True)
class Row:
    """What the catalogue holds of one document."""

    number: int
    id: DocumentId
    text: str
    metadata: dict[str, Any]
    truncated: bool
    """Whether the encoder read only the beginning of the text."""


class Storage:
    """Follows one index. It may be used from several threads."""

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        *,
        dim: int | None = None,
        fingerprint: str | None = None,
        vocabulary_size: int | None = None,
        timeout: float = 30.0,
        read_only: bool = False,
    ) -> None:
        """
        Args:
            folder: need not exist; the first write makes it.
            dim: dimension of the token vectors; None takes that of the first document.
            fingerprint: identifies the model. An index that remembers another one is refused.
            vocabulary_size: lexical terms are below this; None for an index without texts.
            timeout: seconds to wait for another writer.
            read_only: never write, not even to undo what a killed writer left.
        """
        self.folder = folder
        self.kind = kind
        self.dim = dim
        self.fingerprint = fingerprint
        self.vocabulary_size = vocabulary_size
        self.catalogue = Catalogue(folder, timeout=timeout, read_only=read_only)
        self.opened: dict[str, OpenSegment] = {}
        """Segments that a writer of this process has open already, by name, until they are in a snapshot."""
        self.replacing = False
        """Whether a new index is begun in the place of the one that is there."""
        self._snapshot = Snapshot()
        self._following = threading.RLock()
        self._closed = False

    # ------------------------------------------------------------------------------------------------------- following

    def check_usable(self) -> None:
        """Raise StoreError when the folder holds something else, which an index must neither mix with nor delete."""
        if not self.folder.exists() or self.catalogue.path.exists():
            return
        if not self.folder.is_dir():
            raise StoreError(f"{self.folder} is a file; an index needs a folder of its own.")
        names = {path.name for path in self.folder.iterdir()}
        if _FORMER in names:
            raise IndexVersionError(
                f"{self.folder} was written by an earlier version of latelite, whose format this one does not read; "
                "index the documents again into a new folder."
            )
        foreign = sorted(names - {CATALOGUE, JOURNAL, SEGMENTS} - LITTER)
        if foreign:
            raise StoreError(
                f"{self.folder} is not a latelite index (it holds {foreign[0]!r}); choose another name or an empty "
                "folder."
            )

    def view(self) -> Snapshot:
        """The latest state that can be had without waiting for a writer.

        While another process commits, or writes something that cannot be opened yet (a copy that is still arriving),
        that is the state seen before; without one, the error is raised.
        """
        self.check_open()
        if self.replacing:
            return Snapshot()
        known = self._snapshot
        try:
            return self.refresh(wait=known.settings is None)
        except IndexLockedError:
            if known.settings is None:
                raise
        except (IndexNotFoundError, IndexCorruptError) as error:
            if known.settings is None:
                raise
            logger.warning("going on with the state of %s that is open: %s", self.folder, error)
        return known

    def refresh(self, *, wait: bool = True) -> Snapshot:
        """Move to the last committed state.

        Raises:
            IndexLockedError: a commit takes longer than ``timeout`` seconds, or, without ``wait``, than a moment.
            IndexVersionError, IndexMismatchError, IndexCorruptError, IndexNotFoundError: as at opening.
        """
        if not self._following.acquire(timeout=self.catalogue.timeout if wait else 0.02):
            raise IndexLockedError(f"{self.folder} is being opened by another thread.")
        try:
            for attempt in range(_ATTEMPTS):
                previous = self._snapshot
                with self.catalogue.reading(wait=wait) as connection:
                    if connection is None:
                        if previous.settings is not None:
                            raise IndexNotFoundError(f"The index {self.folder} was deleted.")
                        return previous
                    found = self._state(connection)
                    if found is None or found[:2] == (previous.identity, previous.generation):
                        return previous
                    rows = self._rows_of_state(connection, found)
                try:
                    self._snapshot = self._assembled(*rows, previous)
                    return self._snapshot
                except (IndexNotFoundError, FileNotFoundError):
                    # A writer may have merged and deleted what the catalogue named when we read it.
                    if attempt == _ATTEMPTS - 1 or not self._has_moved(found[:2]):
                        raise
            return self._snapshot
        finally:
            self._following.release()

    def _has_moved(self, known: tuple[str, int]) -> bool:
        with self.catalogue.reading() as connection:
            found = None if connection is None else self._state(connection)
        return found is None or found[:2] != known

    def load(self, connection: sqlite3.Connection) -> Snapshot:
        """The state inside a writer's transaction."""
        found = self._state(connection)
        if found is None:
            return Snapshot()
        if found[:2] != (self._snapshot.identity, self._snapshot.generation):
            rows = self._rows_of_state(connection, found)
            with self._following:
                self._snapshot = self._assembled(*rows, self._snapshot)
        return self._snapshot

    def _state(self, connection: sqlite3.Connection) -> tuple[str, int, Settings] | None:
        """Identity, generation and settings; None before the first write."""
        if not self._snapshot.identity:
            check_schema(connection, self.catalogue.path)
        row = connection.execute(
            "SELECT one, identity, generation, next_number, kind, dim, store, fingerprint, settings, checksum "
            "FROM state"
        ).fetchone()
        if row is None:
            return None
        self.check_row(row, (int, str, int, int, str, int, str, str | None, str), "its state")
        _, identity, generation, _, kind, dim, store, fingerprint, parameters, _ = row
        try:
            settings = Settings(kind, dim, store, fingerprint, dict(json.loads(parameters)))
        except (TypeError, ValueError, RecursionError) as error:
            raise IndexCorruptError(f"{self.catalogue.path} is damaged: its settings are no JSON object.") from error
        if not 0 < dim < 1 << 20:
            raise IndexCorruptError(f"{self.catalogue.path} is damaged: vectors of {dim} dimensions.")
        self._check_fits(settings)
        return identity, generation, settings

    def _rows_of_state(
        self, connection: sqlite3.Connection, found: tuple[str, int, Settings]
    ) -> tuple[Snapshot, list[SegmentEntry], dict[str, Mask | None], Recent]:
        """What a snapshot is made of; only what the last one has not is read."""
        previous, path = self._snapshot, self.catalogue.path
        identity, generation, settings = found
        same = previous.identity == identity
        entries = [
            SegmentEntry.of_row(row, path)
            for row in connection.execute(
                "SELECT first, last, name, documents, tokens, removed, layout, checksum FROM segments ORDER BY first"
            )
        ]
        known = {part.files.name: part for part in previous.segments} if same else {}
        live: dict[str, Mask | None] = {}
        for entry in entries:
            old = known.get(entry.name)
            if old is not None and old.entry == entry:
                live[entry.name] = old.live
            elif not entry.removed:
                live[entry.name] = None
            else:
                query = "SELECT number FROM removed WHERE number BETWEEN ? AND ?"
                gone = connection.execute(query, (entry.first, entry.last)).fetchall()
                if len(gone) != entry.removed:
                    raise IndexCorruptError(f"{path} is damaged: it does not say which documents were removed.")
                live[entry.name] = np.array([number for (number,) in gone], np.int64)
        return Snapshot(identity, generation, settings), entries, live, self._recent(connection, settings.dim, same)

    def _recent(self, connection: sqlite3.Connection, dim: int, same: bool) -> Recent:
        known = self._snapshot.recent if same else NOTHING
        places = {number: place for place, number in enumerate(known.numbers.tolist())}
        wanted = [number for (number,) in connection.execute("SELECT number FROM recent ORDER BY number")]
        if wanted == list(places):
            return known
        documents = []
        for number in wanted:
            place = places.get(number)
            if place is not None:
                vectors = known.tokens[known.offsets[place] : known.offsets[place + 1]]
                documents.append((number, vectors, known.terms[place]))
                continue
            row = connection.execute("SELECT * FROM recent WHERE number = ?", (number,)).fetchone()
            self.check_row(row, (int, bytes, bytes | None), f"the entry of the vectors of document number {number}")
            _, data, terms, _ = row
            if not data or len(data) % (4 * dim) or len(terms or b"") % 4:
                raise IndexCorruptError(f"{self.catalogue.path} is damaged: document {number} has {len(data)} bytes.")
            documents.append(
                (
                    number,
                    np.frombuffer(data, "<f4").reshape(-1, dim),
                    None if terms is None else np.frombuffer(terms, "<i4"),
                )
            )
        return Recent.of(documents, dim)

    def _assembled(
        self, base: Snapshot, entries: list[SegmentEntry], live: dict[str, Any], recent: Recent, previous: Snapshot
    ) -> Snapshot:
        """Open the segments that ``previous`` has not open, and put the snapshot together."""
        assert base.settings is not None
        known = {part.files.name: part for part in previous.segments} | self.opened
        segments = []
        last = 0
        for entry in entries:
            gone = live[entry.name]
            old = known.get(entry.name)
            if old is not None and old.files.entry.layout == entry.layout:
                files, sidecar = old.files, old.sidecar
            else:
                files = Segment(self.folder / SEGMENTS / entry.name, entry, dim=base.settings.dim)
                sidecar = self.kind.load(files)
            if (int(files.numbers[0]), int(files.numbers[-1])) != (entry.first, entry.last) or entry.first <= last:
                raise IndexCorruptError(f"{self.catalogue.path} and {files.arrays.path} do not belong together.")
            last = entry.last
            if gone is not None and gone.dtype != np.bool_:
                mask = np.ones(len(files), np.bool_)
                places = np.searchsorted(files.numbers, gone)
                if (places >= len(files)).any() or (files.numbers[places] != gone).any():
                    raise IndexCorruptError(
                        f"{self.catalogue.path} is damaged: it removes documents that are not there."
                    )
                mask[places] = False
                gone = mask
            segments.append(OpenSegment(entry, files, gone, sidecar))
        self.opened = {}
        if len(recent) and recent.numbers[0] <= last:
            raise IndexCorruptError(f"{self.catalogue.path} is damaged: its recent documents are in a segment.")
        return Snapshot(base.identity, base.generation, base.settings, tuple(segments), recent)

    def _check_fits(self, settings: Settings) -> None:
        """Raise when the index is not what this object was made for."""
        folder, kind = self.folder, self.kind
        if settings.kind != kind.name:
            raise IndexVersionError(f"{folder} is an index of kind {settings.kind!r}, not {kind.name!r}.")
        if self.dim not in (None, settings.dim):
            raise IndexMismatchError(f"{folder} has dimension {settings.dim}, not {self.dim}.")
        kind.adopt(settings)
        if settings.store != kind.store:
            raise IndexMismatchError(f"{folder} stores {settings.store} vectors, not {kind.store}.")
        if None not in (self.fingerprint, settings.fingerprint) and self.fingerprint != settings.fingerprint:
            raise IndexMismatchError(
                f"{folder} was built with another model (fingerprint {settings.fingerprint}, not {self.fingerprint}); "
                "open it with that model, or build it again with override=True."
            )

    def check_row(self, row: Sequence[Any] | None, kinds: Sequence[Any], what: str) -> None:
        """See `latelite.storage.catalogue.check_row`."""
        check_row(row, kinds, what, self.catalogue.path)

    # --------------------------------------------------------------------------------------------------------- reading

    def read(self, question: Callable[[Snapshot], Answer]) -> Answer:
        """Ask until the answer belongs to one state; ``question`` raises `Moved` where it cannot tell."""
        for attempt in range(_ATTEMPTS):
            try:
                return question(self.view() if attempt == 0 else self.refresh())
            except Moved:
                continue
        raise IndexLockedError(f"{self.folder} changes faster than it can be read; try again.")

    def find(self, ids: Iterable[DocumentId]) -> list[int | None]:
        """The number of each document, None for ids that are not there; of the state that is committed now."""
        with self.reading() as connection:
            return [None for _ in ids] if connection is None else find(connection, ids)

    def reading(self) -> Any:
        """`Catalogue.reading`, for an index that is open."""
        self.check_open()
        return self.catalogue.reading()

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
            found = {row.number: row for row in self._rows(connection, wanted, view.generation)}
            state = connection.execute("SELECT identity, generation FROM state").fetchone()
            if state is None or state[0] != view.identity:
                raise Moved
            if len(found) != len(set(wanted)):
                if state[1] == view.generation:
                    raise IndexCorruptError(f"{self.catalogue.path} is damaged: a document is missing.")
                raise Moved
        return [found[number] for number in wanted]

    def _rows(self, connection: sqlite3.Connection, numbers: Iterable[int], generation: int | None) -> Iterator[Row]:
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

    def all_rows(self) -> Iterator[Row]:
        """The documents of the state of now, in the order of insertion; those removed meanwhile are left out."""
        numbers = self.view().numbers().tolist()
        for chunk in runs(numbers):
            with self.reading() as connection:
                found = [] if connection is None else list(self._rows(connection, chunk, None))
            yield from sorted(found, key=lambda row: row.number)

    def _is(self, connection: sqlite3.Connection, view: Snapshot) -> bool:
        found = self._state(connection)
        return found is not None and found[:2] == (view.identity, view.generation)

    def matching(self, view: Snapshot, condition: str, values: Sequence[Any] = ()) -> list[Mask]:
        """Per part of ``view`` the live documents whose row of ``documents`` meets an SQL condition.

        Args:
            condition: over the columns of ``documents``; ``metadata`` is ASCII JSON.
            values: of its question marks.

        Raises:
            Moved: the index is no longer in the state of ``view``.
        """
        with self.reading() as connection:
            if connection is None or (view.settings is None and self._state(connection) is None):
                return view.masks(np.empty(0, np.int64))
            if not self._is(connection, view):
                raise Moved
            rows = connection.execute(f"SELECT number FROM documents WHERE {condition} ORDER BY number", values)
            numbers = np.fromiter((number for (number,) in rows), np.int64)
        return view.masks(numbers)

    def metadata(self, view: Snapshot) -> list[tuple[int, dict[str, Any]]]:
        """Number and metadata of all documents of ``view``; raises Moved as `matching`."""
        with self.reading() as connection:
            if connection is None or (view.settings is None and self._state(connection) is None):
                return []
            if not self._is(connection, view):
                raise Moved
            rows = connection.execute("SELECT number, metadata FROM documents ORDER BY number")
            return [(number, self.parsed(metadata, f"number {number}")) for number, metadata in rows]

    def select(self, condition: str, values: Sequence[Any], *, limit: int | None, offset: int) -> list[int]:
        """Numbers of the documents of now that meet an SQL condition, in the order of insertion."""
        query = f"SELECT number FROM documents WHERE {condition} ORDER BY number LIMIT ? OFFSET ?"
        with self.reading() as connection:
            if connection is None or self._state(connection) is None:
                return []
            found = connection.execute(query, (*values, -1 if limit is None else limit, offset))
            return [number for (number,) in found]

    def ids(self, numbers: Ints | None = None) -> list[DocumentId]:
        """Ids of all documents in the order of insertion."""
        with self.reading() as connection:
            if connection is None or self._state(connection) is None:
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

    def embeddings(self, view: Snapshot, number: int) -> Floats:
        """(tokens, dim) float32 of one document."""
        part, position = view.locate(number)
        return part.embeddings(position)

    def verify(self) -> None:
        """Read everything, and compare it with its checksums and with each other.

        Raises:
            IndexCorruptError, IndexNotFoundError: naming the file, and the documents where it is theirs.
        """
        self.check_open()
        view = self.refresh()
        if view.settings is None:
            return
        for part in view.segments:
            files = Segment(part.files.folder, part.entry, dim=view.settings.dim)
            files.verify()
            verify_postings(files)
            self.kind.verify(files)
            hit = files.damaged()
            if len(hit):
                raise IndexCorruptError(
                    f"{files.arrays.path} is damaged: the token vectors of {self.names(files.numbers[hit])} changed. "
                    "Add these documents again, or remove them; the others are sound."
                )
        with self.reading() as connection:
            if connection is None:
                raise IndexNotFoundError(f"{self.catalogue.path} is missing.")
            problems = [problem for (problem,) in connection.execute("PRAGMA integrity_check(3)") if problem != "ok"]
            if problems:
                raise IndexCorruptError(f"{self.catalogue.path} is damaged: {problems[0]}.")
            if not self._is(connection, view):
                return  # a writer went on; what it wrote is for the next check
            for row in connection.execute("SELECT * FROM recent"):
                self.check_row(row, (int, bytes, bytes | None), f"the entry of the vectors of document {row[0]}")
            numbers = [number for (number,) in connection.execute("SELECT number FROM documents ORDER BY number")]
            if numbers != view.numbers().tolist():
                raise IndexCorruptError(
                    f"{self.catalogue.path} is damaged: its documents are not those of the vectors."
                )
            for _ in self._rows(connection, numbers, None):
                pass

    # ------------------------------------------------------------------------------------------------------- life time

    def check_open(self) -> None:
        """Raise StoreError after `close`."""
        if self._closed:
            raise StoreError(f"The index {self.folder} was closed.")

    def close(self) -> None:
        """Let go of all files."""
        self._closed = True
        self._snapshot = Snapshot()
        self.catalogue.close()


def find(connection: sqlite3.Connection, ids: Iterable[DocumentId]) -> list[int | None]:
    """The number of each document, None for ids that are not there."""
    found: list[int | None] = []
    for id_ in ids:
        row = connection.execute("SELECT number FROM documents WHERE id = ?", (encoded_id(id_),)).fetchone()
        found.append(None if row is None else row[0])
    return found


def refuse_links(folder: Path) -> None:
    """Raise StoreError when a part of the index is a symbolic link."""
    for name in (CATALOGUE, JOURNAL, SEGMENTS):
        refuse_link(folder / name)
