"""Ids, metadata and texts of the documents, and where their tokens stand, as the site stores them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from latelite.errors import WebExportError
from latelite.web.stored import Stored

_RECORD_BYTES = 1 << 20
_TEXT_BYTES = 1 << 19
"""Of a part before compression: what is fetched to show one text."""
_LARGEST = 2**53
"""JavaScript's numbers are exact below it."""


def add_records(stored: Stored, rows: Sequence[Any]) -> None:
    """Ids and metadata, which a browser holds in memory.

    Args:
        rows: with ``id``, ``metadata`` and ``truncated``.

    Raises:
        WebExportError: an id is a number that JavaScript cannot tell from its neighbours.
    """
    for row in rows:
        if isinstance(row.id, int) and abs(row.id) >= _LARGEST:
            raise WebExportError(
                f"the id {row.id} is too large a number for JavaScript, which is exact below 2**53; use a string."
            )
    records = (
        json.dumps([row.id, row.metadata, *([1] if row.truncated else [])], separators=(",", ":")) for row in rows
    )
    stored.add_parts("records", _lists(records, _RECORD_BYTES))


def add_texts(stored: Stored, rows: Sequence[Any]) -> None:
    """Texts, in parts that are fetched when one of them is shown. As ASCII, so that lone surrogates survive."""
    stored.add_parts("texts", _lists((json.dumps(row.text) for row in rows), _TEXT_BYTES))


def _lists(items: Iterator[str], limit: int) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """JSON lists of about ``limit`` bytes."""
    chunk: list[str] = []
    size = 0
    for item in items:
        chunk.append(item)
        size += len(item) + 1
        if size >= limit:
            yield f"[{','.join(chunk)}]".encode(), {"documents": len(chunk)}
            chunk, size = [], 0
    if chunk:
        yield f"[{','.join(chunk)}]".encode(), {"documents": len(chunk)}
