"""The tables of the catalogue, and the checksum that each of their rows ends with."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latelite.errors import IndexCorruptError, IndexVersionError
from latelite.storage.metadata import is_index

APPLICATION_ID = 0x4C746C74
"""Says in the file's header whose it is: "Ltlt"."""
USER_VERSION = 1
"""Of the tables below."""

SCHEMA = (
    """CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), identity TEXT NOT NULL, generation INTEGER NOT NULL,
 next_number INTEGER NOT NULL, kind TEXT NOT NULL, dim INTEGER NOT NULL, store TEXT NOT NULL, fingerprint TEXT,
 settings TEXT NOT NULL, checksum INTEGER NOT NULL)""",
    """CREATE TABLE documents (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tokens INTEGER NOT NULL,
 truncated INTEGER NOT NULL, generation INTEGER NOT NULL, metadata TEXT NOT NULL, checksum INTEGER NOT NULL)""",
    "CREATE TABLE texts (number INTEGER PRIMARY KEY, text NOT NULL, checksum INTEGER NOT NULL)",
    "CREATE TABLE recent (number INTEGER PRIMARY KEY, vectors BLOB NOT NULL, terms BLOB, checksum INTEGER NOT NULL)",
    """CREATE TABLE segments (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, name TEXT NOT NULL, documents INTEGER
 NOT NULL, tokens INTEGER NOT NULL, removed INTEGER NOT NULL, layout TEXT NOT NULL, checksum INTEGER NOT NULL)""",
    "CREATE TABLE removed (number INTEGER PRIMARY KEY)",
)


def checksum(*values: int | str | bytes | None) -> int:
    """64 bits of BLAKE2b over the values and their types, as SQLite's signed integer."""
    digest = hashlib.blake2b(digest_size=8)
    for value in values:
        if isinstance(value, bytes):
            data, kind = value, b"b"
        elif isinstance(value, str):
            data, kind = value.encode("utf-8", "surrogateescape"), b"s"
        else:
            data, kind = str(value).encode(), b"i"
        digest.update(b"%s%d:" % (kind, len(data)))
        digest.update(data)
    return int.from_bytes(digest.digest(), "little", signed=True)


def check_row(row: Sequence[Any] | None, kinds: Sequence[Any], what: str, path: Path) -> None:
    """Check one row of a table, whose last value is the checksum of the others.

    Args:
        kinds: the types of the values.

    Raises:
        IndexCorruptError: the row is not there, does not have its checksum, or holds what no row of ours does.
    """
    if row is None or checksum(*row[:-1]) != row[-1]:
        raise IndexCorruptError(f"{path} is damaged: {what} does not have its checksum.")
    if not all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=False)):
        raise IndexCorruptError(f"{path} is damaged: {what} holds values of a wrong type.")


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Check that the database is a catalogue of this version, with its tables and nothing that runs by itself.

    Raises:
        IndexVersionError: another version.
        IndexCorruptError: something else.
    """
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise IndexCorruptError(f"{path} is not a catalogue of latelite.")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != USER_VERSION:
        raise IndexVersionError(
            f"{path} has version {version}, this latelite reads {USER_VERSION}; index the texts again into a new "
            "folder."
        )
    found = connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
    statements = {sql for kind, _, sql in found if kind == "table"}
    if not statements.issuperset(SCHEMA):
        raise IndexCorruptError(f"{path} is damaged: its tables are not those of a catalogue.")
    if any(kind not in ("table", "index") for kind, _, _ in found):
        raise IndexCorruptError(f"{path} holds triggers or views, which no catalogue has.")
    # Indexes on columns are harmless; one on an expression runs functions, so it has to be of our making.
    for kind, name, sql in found:
        if kind == "index" and sql is not None and sql.count("(") > 1 and not is_index(name, sql):
            raise IndexCorruptError(f"{path} holds an index {name!r} that no catalogue has.")
