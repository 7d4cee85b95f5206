"""The catalogue of an index: one SQLite database, whose transactions are the moments at which anything becomes true.

It holds what may change (which documents there are, their texts and metadata, which segments are in use) and the
vectors of recent documents; segments are immutable files beside it (`latelite.storage.segments`).

**Durability.** A rollback journal with ``synchronous=EXTRA``: what was committed survives a power cut. Not a WAL: it
does not work on network drives, leaves files behind, and a copied or read-only folder with a ``-wal`` beside the
database misses rows. What is removed stays in free pages until `Catalogue.vacuum`.

**Checksums.** SQLite does not notice a flipped bit in a value, so each row carries a checksum of the others
(`checksum`), which is compared whenever the row is read.

**ASCII JSON.** Ids and metadata are written as ASCII JSON, since a lone surrogate cannot be bound and NUL cuts
``json_extract``; a text that is not well-formed is stored as bytes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from latelite.errors import IndexCorruptError, IndexLockedError, StoreError
from latelite.files import fsync_folder
from latelite.filter_sql import register
from latelite.storage.folders import fsync_file, lacks_locks, refuse_special
from latelite.storage.schema import APPLICATION_ID, SCHEMA, USER_VERSION, check_schema
from latelite.storage.sqlite_errors import Action, system_error, translated

CATALOGUE = "documents.sqlite"
JOURNAL = CATALOGUE + "-journal"
VACUUMED = CATALOGUE + "-vacuumed"
"""What `Catalogue.vacuum` writes; it takes the catalogue's place when it is whole."""

SYNCHRONOUS = "EXTRA"
"""How much SQLite waits for the disk; tests that are not about durability wait less."""

_BRIEFLY = 0.02
"""Seconds that a reader waits for another process's commit before it goes on with what it knows."""

_POLL = 0.001
"""Seconds between two looks at whether a commit is over."""

_WRITERS_POLL = 0.005
"""Seconds between two looks at whether another writer, which may encode and merge, is done."""


class Catalogue:
    """Connections to one database: one for reading, one for writing, each used by one thread at a time.

    Connections are not carried over a fork: the child opens its own.
    """

    def __init__(self, folder: Path, *, timeout: float, read_only: bool) -> None:
        self.folder = folder
        self.path = folder / CATALOGUE
        self.timeout = timeout
        self.read_only = read_only
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._files: dict[str, tuple[int, int]] = {}
        self._locks()

    def _locks(self) -> None:
        self._process = os.getpid()
        self._reading = threading.RLock()
        self._writing = threading.RLock()

    # --------------------------------------------------------------------------------------------------------- reading

    def exists(self) -> bool:
        """Whether there is a database with something in it."""
        refuse_special(self.path)
        try:
            return self.path.stat().st_size > 0
        except (FileNotFoundError, NotADirectoryError):
            return False

    @contextlib.contextmanager
    def reading(self, *, wait: bool = True) -> Iterator[sqlite3.Connection | None]:
        """A short transaction in which everything that is read belongs to one state; None while there is no catalogue.

        Args:
            wait: for a commit of another process, for up to ``timeout`` seconds; False waits for a moment only.

        Raises:
            IndexLockedError: it is still going on.
            IndexCorruptError: the database is damaged.
        """
        self._after_fork()
        if not self._reading.acquire(timeout=self.timeout if wait else _BRIEFLY):
            raise IndexLockedError(f"{self.folder} is being read by another thread; try again.")
        try:
            with self.translated("read"):
                connection = self._begin_reading(self.timeout if wait else _BRIEFLY)
            try:
                with self.translated("read"):
                    yield connection
            finally:
                if connection is not None and connection.in_transaction:
                    connection.rollback()
        finally:
            self._reading.release()

    def _begin_reading(self, timeout: float) -> sqlite3.Connection | None:
        """Open when needed, and take the shared lock."""
        if self._reader is not None and self._replaced("reader"):
            self._reader.close()
            self._reader = None
        if self._reader is None:
            if not self.exists():
                return None
            self._reader = self._opened("ro")
            self._reader.execute("PRAGMA busy_timeout = 0")
            self._files["reader"] = self._identity()
        deadline = time.monotonic() + timeout
        while True:
            try:
                empty = self._lock_shared()
                break
            except sqlite3.OperationalError as error:
                if self._reader.in_transaction:
                    self._reader.rollback()
                if error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK and not self.read_only:
                    self._roll_back_interrupted()
                elif error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY and time.monotonic() < deadline:
                    # SQLite's own waiting doubles its steps, and sleeps long past the end of a commit.
                    time.sleep(_POLL)
                else:
                    raise
        if empty:
            self._reader.rollback()
            return None
        return self._reader

    def _lock_shared(self) -> bool:
        """Begin to read; returns whether the database has no tables yet: it was just made, or its creation failed."""
        assert self._reader is not None
        self._reader.execute("BEGIN")
        return self._reader.execute("SELECT 1 FROM sqlite_schema").fetchone() is None

    def _roll_back_interrupted(self) -> None:
        """Undo what a killed writer had begun, which takes a connection that may write."""
        connection = self._opened("rw")
        try:
            connection.execute(f"PRAGMA busy_timeout = {int(1000 * self.timeout)}")
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
        finally:
            connection.close()

    def _identity(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def _replaced(self, role: str) -> bool:
        """Whether the file is another one than was opened: a restored backup, a rebuild."""
        try:
            return self._identity() != self._files[role]
        except (FileNotFoundError, NotADirectoryError):
            return True

    def _opened(self, mode: str) -> sqlite3.Connection:
        refuse_special(self.path)
        refuse_special(self.folder / JOURNAL)
        connection = sqlite3.connect(
            _uri(self.path, mode), uri=True, timeout=self.timeout, isolation_level=None, check_same_thread=False
        )
        connection.text_factory = _text
        register(connection)
        connection.execute("PRAGMA cell_size_check = ON")
        return connection

    # --------------------------------------------------------------------------------------------------------- writing

    @contextlib.contextmanager
    def writing(self, *, wait: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed, durably, when the block ends, and undone when it raises.

        Args:
            wait: for another writer, for up to ``timeout`` seconds.

        Raises:
            IndexLockedError: another writer is still at work after ``timeout`` seconds.
            IndexWriteError: no permission, disk full, read-only; what was there is unchanged.
        """
        self._after_fork()
        if self.read_only:
            raise system_error(errno.EROFS, f"{self.folder} was opened with read_only=True; nothing was changed.")
        timeout = self.timeout if wait else 0
        if not self._writing.acquire(timeout=timeout):
            raise self._locked()
        try:
            with self.translated("write"):
                connection = self._begin_writing(timeout)
            try:
                with self.translated("write"):
                    yield connection
                    connection.commit()
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.rollback()
                raise
        finally:
            self._writing.release()

    def _begin_writing(self, timeout: float) -> sqlite3.Connection:
        """Open when needed, and take the writers' lock."""
        deadline = time.monotonic() + timeout
        while True:
            # Looked at before each try: a connection to a file that was replaced takes the other's journal for its own.
            if self._writer is None or self._replaced("writer"):
                self._open_writer()
            assert self._writer is not None
            try:
                self._writer.execute("PRAGMA busy_timeout = 0")
                self._writer.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(_WRITERS_POLL)
                continue
            if not self._replaced("writer"):
                break
            self._writer.rollback()
        self._writer.execute(f"PRAGMA busy_timeout = {int(1000 * self.timeout)}")  # the commit waits for readers
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not self._writer.execute("SELECT 1 FROM sqlite_schema").fetchone():
            for statement in SCHEMA:
                self._writer.execute(statement)
            self._writer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._writer.execute(f"PRAGMA user_version = {USER_VERSION}")
        else:
            check_schema(self._writer, self.path)
        return self._writer

    def _open_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if not os.access(self.folder, os.W_OK):  # SQLite would say so only after the documents were encoded
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.folder))
        connection = self._opened("rwc")
        connection.execute("PRAGMA secure_delete = OFF")  # `vacuum` does it; this would write all that is freed
        connection.execute("PRAGMA cache_spill = OFF")  # which would shut readers out long before the commit
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        connection.execute("PRAGMA journal_mode = DELETE")
        self._writer = connection
        self._files["writer"] = self._identity()

    def vacuum(self) -> None:
        """Write the database anew, without free pages and without anything that was removed.

        Not SQLite's plain VACUUM, which shuts readers out while it works, for seconds where there are many texts. This
        writes a new file, while readers read the old one and writers wait, and puts it in the place of the old one.
        """
        if os.name == "nt":  # which replaces no file that is open
            with self._writing, self.translated("write"):
                self._open_writer()
                assert self._writer is not None
                self._writer.execute("VACUUM")
            return
        with self.writing(), contextlib.closing(self._opened("ro")) as connection:
            new = self.folder / VACUUMED
            new.unlink(missing_ok=True)
            connection.execute("VACUUM INTO ?", (_uri(new, "rwc"),))
            new.chmod(self.path.stat().st_mode)
            fsync_file(new)
            new.replace(self.path)
            fsync_folder(self.folder)

    # ------------------------------------------------------------------------------------------------------- life time

    def close(self) -> None:
        """Close the connections; they are opened again when needed."""
        self._after_fork()
        with self._reading, self._writing:
            self._disconnect()

    def _disconnect(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None

    def __del__(self) -> None:
        """Close the connections of an index that nobody closed: PyLate's shape of one has no such call."""
        self._after_fork()
        self._disconnect()

    def _after_fork(self) -> None:
        """In a forked child: leave the parent's connections alone, and open new ones."""
        if self._process != os.getpid():
            _of_the_parent.extend(each for each in (self._reader, self._writer) if each is not None)
            self._reader = self._writer = None
            self._locks()

    @contextlib.contextmanager
    def translated(self, action: Action) -> Iterator[None]:
        """Turn SQLite's errors, and the system's while writing, into ours."""
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise self._locked() from error
            raise translated(error, self.path, action) from error
        except UnicodeDecodeError as error:  # Python decodes SQLite's message, which quotes what is damaged
            if not error.object.startswith(b"malformed"):
                raise
            raise IndexCorruptError(f"{self.path} is damaged: {error}.") from error
        except OSError as error:
            if isinstance(error, StoreError) or action != "write":
                raise
            raise system_error(
                error.errno, f"Could not write {self.folder}: {error}. What was there before is unchanged."
            ) from error

    def _locked(self) -> IndexLockedError:
        reason = lacks_locks(self.folder) if not self.read_only else None
        if reason is not None:
            return IndexLockedError(
                f"{self.folder} lies on a file system without locks ({reason}), which are needed to write safely; "
                "keep it on another one."
            )
        return IndexLockedError(
            f"{self.folder} is still being written by another process or thread after {self.timeout:g} seconds; try "
            "again, or wait longer with timeout=."
        )


def _uri(path: Path, mode: str) -> str:
    return f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"


_of_the_parent: list[sqlite3.Connection] = []
"""Connections that a forked child must neither use nor close."""


def _text(data: bytes) -> str:
    """SQLite's text as str; bytes that are not UTF-8, which only damage leaves, survive to fail the checksum."""
    return data.decode("utf-8", "surrogateescape")
