"""Which tokens each pooled vector of a document stands for: a table of the catalogue that only pooled ones have."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np

from latelite.arrays import Ints
from latelite.storage.schema import checksum
from latelite.storage.storage import Storage

TABLE = "pooling"


def put_clusters(connection: sqlite3.Connection, number: int, clusters: Ints) -> None:
    """Remember (tokens,) the vector of each token of a document."""
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {TABLE} "
        "(number INTEGER PRIMARY KEY, clusters BLOB NOT NULL, checksum INTEGER NOT NULL)"
    )
    row = (number, clusters.astype("<u2").tobytes())
    connection.execute(f"INSERT INTO {TABLE} VALUES (?, ?, ?)", (*row, checksum(*row)))


def delete_clusters(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Forget documents."""
    if _has_table(connection):
        connection.executemany(f"DELETE FROM {TABLE} WHERE number = ?", [(number,) for number in numbers])


def clusters_of(storage: Storage, number: int) -> Ints | None:
    """(tokens,) the vector of each token of a document; None where each has its own.

    Raises:
        IndexCorruptError: the row does not have its checksum.
    """
    with storage.reading() as connection:
        if connection is None or not _has_table(connection):
            return None
        row = connection.execute(f"SELECT * FROM {TABLE} WHERE number = ?", (number,)).fetchone()
    if row is None:
        return None
    storage.check_row(row, (int, bytes), f"the pooling of document number {number}")
    return np.frombuffer(row[1], "<u2").astype(np.int64)


def _has_table(connection: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
    return connection.execute(query, (TABLE,)).fetchone() is not None
