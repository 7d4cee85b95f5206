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

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from latelite.arrays import Floats, Ints
from latelite.errors import (
    IndexCorruptError,
    IndexLockedError,
    IndexMismatchError,
    IndexNotFoundError,
    IndexVersionError,
    StoreError,
)
from latelite.storage.catalogue import CATALOGUE, JOURNAL, Catalogue
from latelite.storage.folders import LITTER, refuse_link
from latelite.storage.kind import IndexKind
from latelite.storage.priority import searching
from latelite.storage.rows import Moved, Row, Rows
from latelite.storage.schema import check_schema
from latelite.storage.segments import SEGMENTS, Segment
from latelite.storage.snapshot import OpenSegment, Settings, Snapshot, runs
from latelite.storage.state import Committed, Contents, assemble, read_committed, read_contents

logger = logging.getLogger(__name__)

_ATTEMPTS = 50
_FORMER = "CURRENT.json"
"""The pointer file of the format before this one."""

Answer = TypeVar("Answer")


class Storage(Rows):
    """Follows one index. It may be used from several threads."""

    def __init__(
        self,
        folder: Path,
        kind: IndexKind,
        *,
        dim: int | None = None,
        fingerprint: str | None = None,
        lexical: bool = False,
        timeout: float = 30.0,
        read_only: bool = False,
    ) -> None:
        """
        Args:
            folder: need not exist; the first write makes it.
            dim: dimension of the token vectors; None takes that of the first document.
            fingerprint: identifies the model. An index that remembers another one is refused.
            lexical: whether documents have terms, which are written as postings; False for an index without texts.
            timeout: seconds to wait for another writer.
            read_only: never write, not even to undo what a killed writer left.
        """
        self.folder = folder
        self.kind = kind
        self.dim = dim
        self.fingerprint = fingerprint
        self.lexical = lexical
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
                    contents = read_contents(connection, self.catalogue.path, found, self._snapshot)
                try:
                    self._move_to(contents)
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
            contents = read_contents(connection, self.catalogue.path, found, self._snapshot)
            with self._following:
                self._move_to(contents)
        return self._snapshot

    def _move_to(self, contents: Contents) -> None:
        opened = {part.files.name: part for part in self._snapshot.segments} | self.opened
        self._snapshot = assemble(contents, self.folder, self.kind, opened)
        self.opened = {}

    def _state(self, connection: sqlite3.Connection) -> Committed | None:
        """What is committed, checked; None before the first write."""
        if not self._snapshot.identity:
            check_schema(connection, self.catalogue.path)
        found = read_committed(connection, self.catalogue.path)
        if found is not None:
            self._check_fits(found[2])
        return found

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

    # --------------------------------------------------------------------------------------------------------- reading

    def read(self, question: Callable[[Snapshot], Answer]) -> Answer:
        """Ask until the answer belongs to one state; ``question`` raises `Moved` where it cannot tell."""
        for attempt in range(_ATTEMPTS):
            try:
                with searching():
                    return question(self.view() if attempt == 0 else self.refresh())
            except Moved:
                continue
        raise IndexLockedError(f"{self.folder} changes faster than it can be read; try again.")

    def all_rows(self) -> Iterator[Row]:
        """The documents of the state of now, in the order of insertion; those removed meanwhile are left out."""
        for chunk in runs(self.view().numbers().tolist()):
            yield from self.rows_of_now(chunk)

    def rows_of_now(self, numbers: Iterable[int]) -> list[Row]:
        """The documents of these numbers that are there now, by number."""
        with self.reading() as connection:
            found = [] if connection is None else list(self.checked_rows(connection, numbers, None))
        return sorted(found, key=lambda row: row.number)

    def check_vectors(self, files: Segment, places: Ints) -> None:
        """Compare the vectors of the documents ``places`` of a segment with their checksums.

        Raises:
            IndexCorruptError: naming the file and the documents.
        """
        hit = np.intersect1d(files.damaged(), places)
        if len(hit):
            raise IndexCorruptError(
                f"{files.arrays.path} is damaged: the token vectors of {self.names(files.numbers[hit])} changed. Add "
                "these documents again, or remove them; the others are sound."
            )

    def embeddings(self, view: Snapshot, number: int) -> Floats:
        """(tokens, dim) float32 of one document."""
        part, position = view.locate(number)
        return part.embeddings(position)

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


def refuse_links(folder: Path) -> None:
    """Raise StoreError when a part of the index is a symbolic link."""
    for name in (CATALOGUE, JOURNAL, SEGMENTS):
        refuse_link(folder / name)
