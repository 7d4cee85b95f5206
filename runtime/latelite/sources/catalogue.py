"""What was indexed from where: tables beside the documents, changed in the same transactions as they are.

Paths are kept as the bytes that the system uses, ids as ASCII JSON. Whether a document is the command's is told by its
id here, apart from the user's metadata.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS sources (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, location BLOB NOT NULL
 UNIQUE, label TEXT NOT NULL UNIQUE, options TEXT NOT NULL, completed REAL)""",
    """CREATE TABLE IF NOT EXISTS files (number INTEGER PRIMARY KEY, source INTEGER NOT NULL, path BLOB NOT NULL,
 size INTEGER NOT NULL, modified INTEGER NOT NULL, changed INTEGER NOT NULL, content BLOB, settings TEXT NOT NULL,
 problem TEXT, UNIQUE (source, path))""",
    """CREATE TABLE IF NOT EXISTS passages (id TEXT PRIMARY KEY, file INTEGER NOT NULL, text BLOB NOT NULL,
 metadata BLOB NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS passages_by_file ON passages (file)",
    "CREATE INDEX IF NOT EXISTS passages_by_text ON passages (text)",
)
_TABLES = ("sources", "files", "passages")


@dataclass(frozen=True)
class Source:
    """A folder, some files of a folder, or a stream."""

    number: int
    kind: Literal["folder", "files", "stream"]
    location: str
    label: str
    """First part of the paths that ids and metadata show."""
    options: Mapping[str, Any]
    """``exclude`` and ``suffixes`` of the last run."""
    completed: float | None
    """When its last whole run ended, in seconds since 1970."""

    def shown(self, path: str) -> str:
        """The path of one of its files as ids and metadata have it."""
        return f"{self.label}/{path}" if path else self.label


@dataclass(frozen=True)
class File:
    """What is known of one file."""

    number: int
    source: int
    path: str
    """Within its source."""
    signature: tuple[int, int, int]
    """Size, and the times in nanoseconds when content and entry last changed; -1 when they cannot be relied on."""
    content: bytes | None
    """Hash of its bytes; None when it was not read to its end."""
    settings: str
    """How it was cut."""
    problem: str | None
    """Why it has no passages, for a file that is no text."""


@dataclass(frozen=True)
class Stored:
    """What is known of one passage."""

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
        """Make the tables where they are missing."""
        for statement in SCHEMA:
            self._connection.execute(statement)

    def exists(self) -> bool:
        """Whether anything was ever indexed."""
        query = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN (?, ?, ?)"
        return bool(self._connection.execute(query, _TABLES).fetchone()[0] == len(_TABLES))

    # --------------------------------------------------------------------------------------------------------- sources

    def sources(self) -> list[Source]:
        """All sources in the order in which they were first indexed."""
        rows = self._connection.execute(
            "SELECT number, kind, location, label, options, completed FROM sources ORDER BY number"
        )
        return [
            Source(number, kind, os.fsdecode(location), json.loads(label), json.loads(options), completed)
            for number, kind, location, label, options, completed in rows
        ]

    def put_source(self, kind: str, location: str, label: str, options: Mapping[str, Any]) -> int:
        """Add a source, or set kind and options of the one at this place; returns its number."""
        self._connection.execute(
            "INSERT INTO sources (kind, location, label, options) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (location) DO UPDATE SET kind = excluded.kind, options = excluded.options",
            (kind, os.fsencode(location), json.dumps(label), json.dumps(options)),
        )
        row = self._connection.execute("SELECT number FROM sources WHERE location = ?", (os.fsencode(location),))
        return int(row.fetchone()[0])

    def complete_source(self, number: int, time: float) -> None:
        """Record that a run over the whole source has ended."""
        self._connection.execute("UPDATE sources SET completed = ? WHERE number = ?", (time, number))

    def remove_source(self, number: int) -> None:
        """Forget a source whose files have all been removed."""
        self._connection.execute("DELETE FROM sources WHERE number = ?", (number,))

    # ----------------------------------------------------------------------------------------------------------- files

    def files(self, source: int) -> Iterator[File]:
        """The files of a source."""
        rows = self._connection.execute(
            "SELECT number, path, size, modified, changed, content, settings, problem FROM files WHERE source = ?",
            (source,),
        )
        for number, path, size, modified, changed, content, settings, problem in rows:
            yield File(number, source, os.fsdecode(path), (size, modified, changed), content, settings, problem)

    def put_file(self, file: File) -> int:
        """Add a file, or replace what is known of it; returns its number."""
        self._connection.execute(
            "INSERT INTO files (source, path, size, modified, changed, content, settings, problem) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source, path) DO UPDATE SET size = excluded.size, "
            "modified = excluded.modified, changed = excluded.changed, content = excluded.content, "
            "settings = excluded.settings, problem = excluded.problem",
            (file.source, os.fsencode(file.path), *file.signature, file.content, file.settings, file.problem),
        )
        query = "SELECT number FROM files WHERE source = ? AND path = ?"
        return int(self._connection.execute(query, (file.source, os.fsencode(file.path))).fetchone()[0])

    def remove_file(self, number: int) -> None:
        """Forget a file; its passages have to be removed before."""
        self._connection.execute("DELETE FROM files WHERE number = ?", (number,))

    def incomplete_files(self) -> set[int]:
        """Files with passages that are no longer among the documents."""
        rows = self._connection.execute(
            "SELECT DISTINCT file FROM passages "
            "WHERE NOT EXISTS (SELECT 1 FROM documents WHERE documents.id = passages.id)"
        )
        return {number for (number,) in rows}

    # -------------------------------------------------------------------------------------------------------- passages

    def passages(self, file: int) -> tuple[dict[str, Stored], dict[str, Stored]]:
        """Encoded id -> passage, of one file: those that are among the documents, and those that were removed there."""
        there: dict[str, Stored] = {}
        lost: dict[str, Stored] = {}
        rows = self._connection.execute(
            "SELECT id, text, metadata, EXISTS (SELECT 1 FROM documents WHERE documents.id = passages.id) "
            "FROM passages WHERE file = ?",
            (file,),
        )
        for id_, text, metadata, is_there in rows:
            (there if is_there else lost)[id_] = Stored(file, text, metadata)
        return there, lost

    def passage(self, id: str) -> Stored | None:
        """The passage with an encoded id."""
        row = self._connection.execute("SELECT file, text, metadata FROM passages WHERE id = ?", (id,)).fetchone()
        return None if row is None else Stored(*row)

    def shown(self, file: int) -> str:
        """The path of a file as ids and metadata have it."""
        query = "SELECT label, path FROM files JOIN sources ON sources.number = files.source WHERE files.number = ?"
        row = self._connection.execute(query, (file,)).fetchone()
        if row is None:
            return "another file"
        path = os.fsdecode(row[1])
        return f"{json.loads(row[0])}/{path}" if path else str(json.loads(row[0]))

    def with_text(self, text: bytes) -> list[tuple[str, int]]:
        """Encoded ids and files of the passages with this hash of their text."""
        query = "SELECT id, file FROM passages WHERE text = ? LIMIT 100"
        return [(id_, file) for id_, file in self._connection.execute(query, (text,))]

    def is_document(self, id: str) -> bool:
        """Whether there is a document with an encoded id, whoever made it."""
        return self._connection.execute("SELECT 1 FROM documents WHERE id = ?", (id,)).fetchone() is not None

    def put_passage(self, id: str, stored: Stored) -> None:
        """Add a passage, or replace what is known of it."""
        self._connection.execute(
            "INSERT INTO passages VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET file = excluded.file, "
            "text = excluded.text, metadata = excluded.metadata",
            (id, stored.file, stored.text, stored.metadata),
        )

    def remove_passage(self, id: str) -> None:
        """Forget a passage."""
        self._connection.execute("DELETE FROM passages WHERE id = ?", (id,))

    def counts(self, source: int) -> tuple[int, int]:
        """Files with passages, and passages of a source."""
        query = (
            "SELECT count(DISTINCT passages.file), count(*) FROM passages JOIN files ON files.number = passages.file "
            "WHERE files.source = ?"
        )
        files, passages = self._connection.execute(query, (source,)).fetchone()
        return int(files), int(passages)

    def passages_per_file(self, source: int) -> dict[int, int]:
        """Number of passages of each file of a source that has any."""
        query = (
            "SELECT passages.file, count(*) FROM passages JOIN files ON files.number = passages.file "
            "WHERE files.source = ? GROUP BY passages.file"
        )
        return dict(self._connection.execute(query, (source,)).fetchall())
