"""Which documents of a state a filter accepts; remembered, as people ask several questions under one filter."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from latelite.arrays import Mask
from latelite.filter_sql import Sql, compile_condition
from latelite.filters import Condition, to_json
from latelite.storage.metadata import indexed_fields
from latelite.storage.snapshot import Snapshot
from latelite.storage.storage import Storage

_REMEMBERED = 16
"""Filters whose masks are remembered, which take a byte for each document."""

Accepts = Condition | Callable[[Mapping[str, Any]], bool]
"""A parsed condition, or a function of a document's metadata."""


class Accepted:
    """Documents of one storage under filters. Safe to share between threads."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._view: Snapshot | None = None
        self._known: dict[bytes, list[Mask]] = {}

    def masks(self, view: Snapshot, accepts: Accepts) -> list[Mask | None]:
        """Per part of ``view`` (documents,) bool: its live documents that are accepted. Not to be changed.

        A function is asked every time, since it may answer differently.

        Raises:
            latelite.storage.rows.Moved: the answer is not known, and the storage is no longer in the state of ``view``.
        """
        if callable(accepts):
            numbers = [number for number, metadata in self._storage.metadata(view) if accepts(metadata)]
            return list(view.masks(np.array(numbers, np.int64)))
        key = hashlib.blake2b(to_json(accepts).encode()).digest()
        with self._lock:
            known = self._known.get(key) if self._view is view else None
        if known is None:
            sql = self._compiled(accepts)
            known = self._storage.matching(view, sql.text, sql.parameters)
            self._remember(view, key, known)
        return list(known)

    def forget(self) -> None:
        """Let go of the state that was asked last."""
        with self._lock:
            self._view, self._known = None, {}

    def _remember(self, view: Snapshot, key: bytes, masks: list[Mask]) -> None:
        with self._lock:
            if self._view is not view:
                self._view, self._known = view, {}
            if len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[key] = masks

    def _compiled(self, condition: Condition) -> Sql:
        with self._storage.reading() as connection:
            indexed = () if connection is None else indexed_fields(connection)
        return compile_condition(condition, indexed=indexed)
