"""Who writes to an index: transactions, merging afterwards, compaction, and what is left of failed writes."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from latelite.storage.catalogue import VACUUMED
from latelite.storage.folders import delete_segments, make_folder
from latelite.storage.merging import merge_segments, next_merge
from latelite.storage.segments import SEGMENTS
from latelite.storage.snapshot import Snapshot
from latelite.storage.storage import Storage, refuse_links
from latelite.storage.writing import Transaction

logger = logging.getLogger(__name__)

MERGED_PER_CALL = 1 << 17
"""Tokens that a write may merge on top of `latelite.storage.merging.FANOUT` times those that it added."""


class Writer:
    """Writes to one index. Each call is a transaction: when it returns, what it wrote survives a power cut."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def check_possible(self) -> None:
        """Find out whether a write could begin now, waiting for other writers: before texts are encoded in vain.

        Raises:
            IndexLockedError, IndexWriteError: as a write would.
        """
        with self._folder(), self.storage.catalogue.writing():
            pass

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Whatever is done in the block is committed together, or not at all where it raises.

        Raises:
            IndexLockedError: another writer is still at work after ``timeout`` seconds.
            IndexWriteError: no permission, disk full; what was there is unchanged.
        """
        storage = self.storage
        storage.check_open()
        with self._folder():
            try:
                with storage.catalogue.writing() as connection:
                    base = Snapshot() if storage.replacing else storage.load(connection)
                    _delete_unnamed(storage.folder, connection)
                    if storage.replacing:
                        _empty(connection)
                    transaction = Transaction(storage, connection, base)
                    yield transaction
                    transaction.finish()
            except BaseException:
                storage.opened = {}
                self.clean()  # on a full disk the half-written files are what fills it
                raise
        left_over = storage.replacing or transaction.replaced
        storage.replacing = False
        storage.refresh()
        if left_over:
            self.clean()

    @contextmanager
    def _folder(self) -> Iterator[None]:
        folder = self.storage.folder
        with self.storage.catalogue.translated("write"):
            refuse_links(folder)
            self.storage.check_usable()
            if not self.storage.catalogue.read_only and not self.storage.catalogue.path.exists():
                make_folder(folder)
            yield

    def tidy(self, added_tokens: int) -> None:
        """Merge segments until the tiers are in order, or until as much was rewritten as the caller has added.

        What the caller asked for is committed already, so whatever goes wrong here is no error of that.
        """
        budget = MERGED_PER_CALL + 8 * added_tokens
        try:
            while budget > 0:
                segments = self.storage.view().segments
                part = next_merge([segment.entry for segment in segments], budget)
                if part is None:
                    return
                budget -= sum(segment.entry.tokens for segment in segments[part])
                self._merge(lambda base, part=part: base.segments[part])
        except Exception as error:  # noqa: BLE001
            logger.warning("segments of %s were not merged, which costs speed only: %s", self.storage.folder, error)

    def compact(self) -> None:
        """Rewrite everything as one segment without removed documents, and the catalogue without free pages."""
        base = self.storage.refresh()
        if base.settings is None:
            return
        if len(base.recent):
            with self.transaction() as transaction:
                transaction.flush()
            base = self.storage.refresh()
        if len(base.segments) > 1 or any(segment.live is not None for segment in base.segments):
            self._merge(lambda base: base.segments)
        self.storage.catalogue.vacuum()

    def _merge(self, chosen: Any) -> None:
        storage = self.storage
        with self.transaction() as transaction:
            base = transaction.base
            parents = list(chosen(base))
            if not parents or base.settings is None:
                return
            entry = merge_segments(storage, parents, base)
            transaction.replace_segments(parents, entry)

    def clean(self) -> None:
        """Delete the segments that the catalogue does not name: what was merged, or what a failed write left behind.

        With the writers' lock alone, since a segment that another writer is about to name looks like one of these.
        Where another has the lock this is left to it: every writer begins with it.
        """
        try:
            with self.storage.catalogue.writing(wait=False) as connection:
                _delete_unnamed(self.storage.folder, connection)
        except Exception as error:  # noqa: BLE001
            logger.debug("left files that are not in use in %s: %s", self.storage.folder, error)


def _delete_unnamed(folder: Path, connection: sqlite3.Connection) -> None:
    delete_segments(folder / SEGMENTS, {name for (name,) in connection.execute("SELECT name FROM segments")})
    (folder / VACUUMED).unlink(missing_ok=True)


def _empty(connection: sqlite3.Connection) -> None:
    """Forget the index that was there."""
    for table in ("state", "documents", "texts", "recent", "segments", "removed"):
        connection.execute(f"DELETE FROM {table}")
