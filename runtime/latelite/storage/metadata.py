"""Indexes on fields of the metadata, in the catalogue."""

from __future__ import annotations

import sqlite3

from latelite.filter_sql import index_expression

_PREFIX = "metadata of "


def indexed_fields(connection: sqlite3.Connection) -> list[str]:
    """The fields that have an index."""
    query = "SELECT name FROM sqlite_schema WHERE type = 'index' AND name LIKE ?"
    return [name.removeprefix(_PREFIX) for (name,) in connection.execute(query, (f"{_PREFIX}%",))]


def index_field(connection: sqlite3.Connection, field: str) -> None:
    """Give a field an index, if it has none.

    Raises:
        ValueError: the field's name cannot be part of an index.
    """
    if field not in indexed_fields(connection):
        connection.execute(_statement(field))


def is_index(name: str, sql: str) -> bool:
    """Whether an index of the catalogue is one that `index_field` makes."""
    try:
        return name.startswith(_PREFIX) and sql == _statement(name.removeprefix(_PREFIX))
    except ValueError:
        return False


def _statement(field: str) -> str:
    name = (_PREFIX + field).replace('"', '""')
    return f'CREATE INDEX "{name}" ON documents ({index_expression(field)})'
