"""Tables of sources, files and passages, changed in the same transactions as the documents.

Paths are stored as the system's bytes, ids as ASCII JSON. These tables, not the user's metadata, tell which documents
come from files. Each row has a checksum of its other values (see `latelite.storage.catalogue`), which is verified
whenever the row is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from latelite.errors import IndexCorruptError, IndexVersionError
from latelite.storage.schema import checksum

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS sources (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, location BLOB NOT NULL
 UNIQUE, label TEXT NOT NULL UNIQUE, options TEXT NOT NULL, completed REAL, checksum INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS files (number INTEGER PRIMARY KEY, source INTEGER NOT NULL, path BLOB NOT NULL,
 size INTEGER NOT NULL, modified INTEGER NOT NULL, changed INTEGER NOT NULL, content BLOB, settings TEXT NOT NULL,
 problem TEXT, checksum INTEGER NOT NULL, UNIQUE (source, path))""",
    """CREATE TABLE IF NOT EXISTS passages (id TEXT PRIMARY KEY, file INTEGER NOT NULL, text BLOB NOT NULL,
 metadata BLOB NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS passages_by_file ON passages (file)",
    "CREATE INDEX IF NOT EXISTS passages_by_text ON passages (text)",
)
_TABLES = ("sources", "files", "passages")
_SOURCE = "number, kind, location, label, options, completed, checksum"
_FILE = "number, source, path, size, modified, changed, content, settings, problem, checksum"
_PASSAGE = "id, file, text, metadata, checksum"
_DAMAGED = (
    "The collection's record of its files is damaged: {}. Its documents are not affected; "
    "to synchronise with files again, index them into a new collection."
)


@dataclass(frozen=True)
class Source:
    """A folder, some files of a folder, or a stream."""

    number: int
    kind: Literal["folder", "files", "stream"]
    location: str
    label: str
    """First component of the paths in ids and metadata."""
    options: Mapping[str, Any]
    """``exclude`` and ``suffixes`` of the last run."""
    completed: float | None
    """End of its last complete run, in seconds since 1970."""

    def shown(self, path: str) -> str:
        """The path of one of its files as in ids and metadata."""
        return f"{self.label}/{path}" if path else self.label


@dataclass(frozen=True)
class File:
    """The record of a file."""

    number: int
    source: int
    path: str
    """Path within its source."""
    signature: tuple[int, int, int]
    """Size in bytes, mtime and ctime in nanoseconds; -1 if unreliable."""
    content: bytes | None
    """Hash of its bytes; None if it was not read to the end."""
    settings: str
    """Settings that it was cut with."""
    problem: str | None
    """Why it has no passages, for a file that is not text."""


@dataclass(frozen=True)
class Stored:
    """The record of a passage."""

    file: int
    text: bytes
    metadata: bytes


def digest(text: str) -> bytes:
    """Hash of a text or of metadata as JSON."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class SourceCatalogue:
    """The tables, over any connection to the catalogue; the caller ends the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def create(self) -> None:
        """Create missing tables.

        Raises:
            IndexVersionError: there are tables of an earlier version.
        """
        for statement in SCHEMA:
            self._connection.execute(statement)
        self._check_version()

    def _check_version(self) -> None:
        columns = {name for _, name, *_ in self._connection.execute("PRAGMA table_info(passages)")}
        if "checksum" not in columns:
            raise IndexVersionError(
                "The collection's record of its files is of an earlier version; index the files into a new collection."
            )

    def verify(self) -> None:
        """Verify every row's checksum, and the references between the tables.

        Raises:
            IndexCorruptError: names what is damaged.
        """
        if not self.exists():
            return
        sources = {source.number for source in self.sources()}
        files = {file.number for number in sources for file in self.files(number)}
        for row in self._connection.execute(f"SELECT {_PASSAGE} FROM passages"):
            self._passage(row)
            if row[1] not in files:
                raise IndexCorruptError(_DAMAGED.format(f"the file of passage {row[0]} is unknown"))
        (count,) = self._connection.execute("SELECT count(*) FROM files").fetchone()
        if count != len(files):
            raise IndexCorruptError(_DAMAGED.format("the source of a file is unknown"))

    def exists(self) -> bool:
        """Whether files were ever indexed.

        Raises:
            IndexVersionError: an earlier version did.
        """
        query = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN (?, ?, ?)"
        if self._connection.execute(query, _TABLES).fetchone()[0] != len(_TABLES):
            return False
        self._check_version()
        return True

    # --------------------------------------------------------------------------------------------------------- sources

    def sources(self) -> list[Source]:
        """All sources in the order in which they were first indexed."""
        found = []
        for row in self._connection.execute(f"SELECT {_SOURCE} FROM sources ORDER BY number"):
            number, kind, location, label, options, completed, _ = row
            _compare(row, f"source {number}", _source_checksum(*row[:-1]))
            found.append(Source(number, kind, os.fsdecode(location), json.loads(label), json.loads(options), completed))
        return found

    def put_source(self, kind: str, location: str, label: str, options: Mapping[str, Any]) -> int:
        """Add a source, or set kind and options of the one at this location; returns its number."""
        known = next((source for source in self.sources() if source.location == location), None)
        number = self._next("sources") if known is None else known.number
        # The label of the first run stays, because ids begin with it.
        names = json.dumps(label if known is None else known.label), json.dumps(options)
        self._put_source(number, kind, os.fsencode(location), *names, None if known is None else known.completed)
        return number

    def complete_source(self, number: int, time: float) -> None:
        """Record the end of a run over the whole source."""
        row = self._connection.execute(f"SELECT {_SOURCE} FROM sources WHERE number = ?", (number,)).fetchone()
        self._put_source(*row[:5], time)

    def _put_source(self, *values: Any) -> None:
        row = (*values, _source_checksum(*values))
        self._connection.execute("DELETE FROM sources WHERE number = ?", values[:1])
        self._connection.execute(f"INSERT INTO sources ({_SOURCE}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _next(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT coalesce(max(number), 0) + 1 FROM {table}").fetchone()[0])

    def remove_source(self, number: int) -> None:
        """Delete the record of a source; its files must be deleted first."""
        self._connection.execute("DELETE FROM sources WHERE number = ?", (number,))

    # ----------------------------------------------------------------------------------------------------------- files

    def files(self, source: int) -> Iterator[File]:
        """The files of a source."""
        for row in self._connection.execute(f"SELECT {_FILE} FROM files WHERE source = ?", (source,)):
            number, _, path, size, modified, changed, content, settings, problem, _ = row
            _compare(row, f"the entry of {os.fsdecode(path)!r}")
            yield File(number, source, os.fsdecode(path), (size, modified, changed), content, settings, problem)

    def put_file(self, file: File) -> int:
        """Add or replace the record of a file; returns its number."""
        path = os.fsencode(file.path)
        query = "SELECT number FROM files WHERE source = ? AND path = ?"
        known = self._connection.execute(query, (file.source, path)).fetchone()
        number = self._next("files") if known is None else int(known[0])
        values = (number, file.source, path, *file.signature, file.content, file.settings, file.problem)
        self._connection.execute(
            f"REPLACE INTO files ({_FILE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, checksum(*values))
        )
        return number

    def remove_file(self, number: int) -> None:
        """Delete the record of a file; its passages must be deleted first."""
        self._connection.execute("DELETE FROM files WHERE number = ?", (number,))

    def incomplete_files(self) -> set[int]:
        """Numbers of files with passages that are no longer among the documents."""
        rows = self._connection.execute(
            "SELECT DISTINCT file FROM passages "
            "WHERE NOT EXISTS (SELECT 1 FROM documents WHERE documents.id = passages.id)"
        )
        return {number for (number,) in rows}

    # -------------------------------------------------------------------------------------------------------- passages

    def passages(self, file: int) -> tuple[dict[str, Stored], dict[str, Stored]]:
        """A file's passages by encoded id: those that are documents, and those that were removed as documents."""
        there: dict[str, Stored] = {}
        lost: dict[str, Stored] = {}
        rows = self._connection.execute(
            f"SELECT EXISTS (SELECT 1 FROM documents WHERE documents.id = passages.id), {_PASSAGE} "
            "FROM passages WHERE file = ?",
            (file,),
        )
        for is_there, *row in rows:
            (there if is_there else lost)[row[0]] = self._passage(row)
        return there, lost

    def _passage(self, row: Sequence[Any]) -> Stored:
        _compare(row, f"the entry of passage {row[0]}")
        return Stored(*row[1:4])

    def passage(self, id: str) -> Stored | None:
        """The passage with an encoded id."""
        row = self._connection.execute(f"SELECT {_PASSAGE} FROM passages WHERE id = ?", (id,)).fetchone()
        return None if row is None else self._passage(row)

    def shown(self, file: int) -> str:
        """The path of a file as in ids and metadata."""
        query = "SELECT label, path FROM files JOIN sources ON sources.number = files.source WHERE files.number = ?"
        row = self._connection.execute(query, (file,)).fetchone()
        if row is None:
            return "another file"
        path = os.fsdecode(row[1])
        return f"{json.loads(row[0])}/{path}" if path else str(json.loads(row[0]))

    def with_text(self, text: bytes) -> list[tuple[str, int]]:
        """Encoded ids and files of the passages whose text has this hash."""
        rows = self._connection.execute(f"SELECT {_PASSAGE} FROM passages WHERE text = ? LIMIT 100", (text,))
        return [(row[0], self._passage(row).file) for row in rows]

    def is_document(self, id: str) -> bool:
        """Whether there is a document with an encoded id, from a file or not."""
        return self._connection.execute("SELECT 1 FROM documents WHERE id = ?", (id,)).fetchone() is not None

    def put_passage(self, id: str, stored: Stored) -> None:
        """Add or replace the record of a passage."""
        values = (id, stored.file, stored.text, stored.metadata)
        self._connection.execute(
            f"REPLACE INTO passages ({_PASSAGE}) VALUES (?, ?, ?, ?, ?)", (*values, checksum(*values))
        )

    def remove_passage(self, id: str) -> None:
        """Delete the record of a passage."""
        self._connection.execute("DELETE FROM passages WHERE id = ?", (id,))

    def counts(self, source: int) -> tuple[int, int]:
        """Number of files with passages and of passages in a source."""
        query = (
            "SELECT count(DISTINCT passages.file), count(*) FROM passages JOIN files ON files.number = passages.file "
            "WHERE files.source = ?"
        )
        files, passages = self._connection.execute(query, (source,)).fetchone()
        return int(files), int(passages)

    def passages_per_file(self, source: int) -> dict[int, int]:
        """File number -> number of passages, for a source's files with passages."""
        query = (
            "SELECT passages.file, count(*) FROM passages JOIN files ON files.number = passages.file "
            "WHERE files.source = ? GROUP BY passages.file"
        )
        return dict(self._connection.execute(query, (source,)).fetchall())


def _compare(row: Sequence[Any], what: str, expected: int | None = None) -> None:
    """Raise IndexCorruptError if a row does not match its checksum, which is its last value."""
    if (checksum(*row[:-1]) if expected is None else expected) != row[-1]:
        raise IndexCorruptError(_DAMAGED.format(f"{what} does not match its checksum"))


def _source_checksum(*values: Any) -> int:
    *others, completed = values
    return checksum(*others, None if completed is None else repr(completed))
