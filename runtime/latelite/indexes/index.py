"""The protocol of all token indexes: what users call, and the hooks that a kind of index fills in."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

import numpy as np

from latelite.errors import (
    DuplicateIdError,
    UnknownIdError,
)
from latelite.indexes.documents import Documents
from latelite.indexes.generation import Generation, Removed, SegmentEntry
from latelite.indexes.identifiers import DocumentId, checked_ids, encoded_id
from latelite.indexes.merging import largest_grid, merge_segments, next_merge
from latelite.indexes.output import write_whole
from latelite.storage.quantisation import best_grid
from latelite.indexes.reader import Floats, IndexReader, Ints, StoreType
from latelite.indexes.segment import BLOCK_TOKENS, Segment, encoded_payload, write_segment
from latelite.indexes.snapshot import OpenSegment, Snapshot
from latelite.indexes.store import SEGMENTS
from latelite.manifest import FileEntry

logger = logging.getLogger(__name__)

__all__ = ["Floats", "Ints", "StoreType", "TokenIndex"]


class TokenIndex(IndexReader):
    """An index that can be read (`IndexReader`) and written.

    Writes are serialised inside one object and refused (IndexLockedError) while another one writes; readers, in this
    process or another, see each write as a whole, at their next call.
    """

    def _parameters(self) -> Mapping[str, Any]:
        """Settings that are recorded in the generation."""
        return {}

    def _extend(
        self, segment: Segment, parents: Sequence[OpenSegment], base: Snapshot, number: int
    ) -> tuple[Mapping[str, FileEntry], Mapping[str, FileEntry]]:
        """Write the files of this kind for a new segment.

        Args:
            segment: its vectors, already written.
            parents: the segments it was merged from; empty for added documents.
            base: what is published now.
            number: of the generation that will be published.

        Returns:
            Entries of files in the segment's folder, and of new shared files by their path inside the index.
        """
        return {}, {}

    def _shared_in_use(self, segments: Sequence[SegmentEntry], files: Mapping[str, FileEntry]) -> set[str]:
        """Which of the shared ``files`` the segments still need."""
        return set(files)

    def add_documents(
        self,
        documents_ids: Sequence[DocumentId],
        documents_embeddings: Sequence[Any],
        payloads: Sequence[Mapping[str, Any] | None] | None = None,
        *,
        batch_size: int | None = None,
    ) -> Self:
        """Add documents; when the call returns, they are on the disk.

        Args:
            documents_ids: str or int, each new and once.
            documents_embeddings: (tokens, dim) arrays of any float type, each with at least one token.
            payloads: a JSON object per document (or None), published together with the vectors.
            batch_size: accepted for PyLate's sake; the documents of one call are always published together.

        Raises:
            DuplicateIdError: an id occurs twice or is in the index already (`update_documents` replaces).
            InvalidVectorsError, IndexMismatchError: naming the document.
            IndexLockedError: another writer is at work.
            IndexWriteError: disk full or no permission.
            In each case nothing was added.
        """
        return self._put(documents_ids, documents_embeddings, payloads, replacing=False)

    def update_documents(
        self,
        documents_ids: Sequence[DocumentId],
        documents_embeddings: Sequence[Any],
        payloads: Sequence[Mapping[str, Any] | None] | None = None,
        *,
        batch_size: int | None = None,
    ) -> Self:
        """Add documents, replacing those whose ids are in the index: vectors and payload, all or nothing.

        Replaced documents move to the end of the order of insertion. Raises as `add_documents`.
        """
        return self._put(documents_ids, documents_embeddings, payloads, replacing=True)

    def _put(
        self,
        documents_ids: Sequence[DocumentId],
        documents_embeddings: Sequence[Any],
        payloads: Sequence[Mapping[str, Any] | None] | None,
        *,
        replacing: bool,
    ) -> Self:
        ids = checked_ids(documents_ids)
        documents = Documents(ids, documents_embeddings)
        if payloads is not None and len(payloads) != len(ids):
            raise ValueError(f"{len(payloads)} payloads for {len(ids)} documents; each document needs one, or None.")
        if not ids:
            return self
        with self._writing() as base:
            dim = base.generation.dim if base.generation else self._embedding_size or documents.arrays[0].shape[1]
            documents.check_dim(dim)
            removed = self._existing(base, ids)
            if removed and not replacing:
                position, numbers = next(iter(removed.items()))
                present = base.segments[position].files.ids[int(numbers[0])]
                raise DuplicateIdError(f"The id {present!r} is in the index already; update_documents replaces it.")
            number = self._store.next_number()
            folder = self._store.new_segment(number)
            grid = None  # either way what is not finite is refused before anything is written
            if self._store_type == "int8":
                known = largest_grid(segment.files for segment in base.segments)
                grid = best_grid(known, lambda: documents.blocks(BLOCK_TOKENS))
            else:
                deque(documents.blocks(BLOCK_TOKENS), maxlen=0)
            blocks = documents.blocks(BLOCK_TOKENS)
            entry = write_segment(
                folder,
                ids=(encoded_id(i) for i in ids),
                payloads=None if payloads is None else (encoded_payload(payload) for payload in payloads),
                lengths=documents.lengths,
                tokens=blocks if grid is None else (grid.encode(block) for block in blocks),
                dim=dim,
                grid=grid,
            )
            entry, shared = self._completed(entry, [], base, number, dim)
            segments = self._with_removed(base, removed, number)
            self._publish(base, [*segments, entry], shared, number, dim)
            self._tidy()
        return self

    def remove_documents(self, documents_ids: Sequence[DocumentId]) -> Self:
        """Remove documents by id; when the call returns, that is on the disk.

        Raises:
            UnknownIdError: an id is not in the index; nothing was removed.
            DuplicateIdError: an id occurs twice in the call.
            IndexLockedError, IndexWriteError: as `add_documents`.
        """
        ids = checked_ids(documents_ids)
        if not ids:
            return self
        with self._writing() as base:
            positions, _ = base.find(ids)
            if (positions < 0).any() or base.generation is None:
                missing = ids[int(np.argmin(positions))]
                raise UnknownIdError(f"The id {missing!r} is not in the index; nothing was removed.")
            number = self._store.next_number()
            segments = self._with_removed(base, self._existing(base, ids), number)
            self._publish(base, segments, {}, number, base.generation.dim)
            self._tidy()
        return self

    def compact(self) -> Self:
        """Rewrite everything as one segment without removed documents: the smallest and fastest form.

        Raises:
            IndexLockedError, IndexWriteError: as `add_documents`.
        """
        with self._writing() as base:
            if len(base.segments) > 1 or any(segment.live is not None for segment in base.segments):
                self._merge(base, slice(0, len(base.segments)))
        return self

    @contextmanager
    def _writing(self) -> Iterator[Snapshot]:
        """Hold the writer's lock and give the latest snapshot, an empty one while an index is being replaced."""
        self._check_open()
        with self._lock, self._store.writing():
            if not self._replacing:
                self.refresh()
            try:
                yield self._snapshot
            except BaseException:
                self._store.discard_unpublished()  # on a full disk the half-written files are what fills it
                raise

    def _existing(self, base: Snapshot, ids: Sequence[DocumentId]) -> dict[int, Ints]:
        """Segment position -> ascending numbers of the documents with one of ``ids``."""
        positions, numbers = base.find(ids)
        return {p: np.sort(numbers[positions == p]) for p in sorted(set(positions[positions >= 0].tolist()))}

    def _with_removed(self, base: Snapshot, removed: Mapping[int, Ints], number: int) -> list[SegmentEntry]:
        """Entries of the segments of ``base`` after removing; segments without live documents are left out."""
        entries = []
        for position, segment in enumerate(base.segments):
            entry = segment.entry
            if position in removed:
                live = np.ones(len(segment.files), np.bool_) if segment.live is None else segment.live.copy()
                live[removed[position]] = False
                gone = np.flatnonzero(~live)
                if len(gone) == len(live):
                    continue
                path = segment.files.folder / f"removed-{number:08d}.npy"
                path.unlink(missing_ok=True)  # of a writer that was killed before publishing
                entry = replace(entry, removed=Removed(path.name, len(gone), write_whole(path, gone)))
            entries.append(entry)
        return entries

    def _completed(
        self, entry: SegmentEntry, parents: Sequence[OpenSegment], base: Snapshot, number: int, dim: int
    ) -> tuple[SegmentEntry, Mapping[str, FileEntry]]:
        """The entry with the files of this kind of index, and new shared files."""
        segment = Segment(self._store.folder / SEGMENTS / entry.name, entry, dim=dim)
        files, shared = self._extend(segment, parents, base, number)
        return replace(entry, files={**entry.files, **files}), shared

    def _publish(
        self,
        base: Snapshot,
        segments: Sequence[SegmentEntry],
        shared: Mapping[str, FileEntry],
        number: int,
        dim: int,
    ) -> None:
        """Make ``segments`` the current state."""
        files = {**(base.generation.files if base.generation else {}), **shared}
        used = self._shared_in_use(segments, files)
        known = base.generation.fingerprint if base.generation else None
        generation = Generation(
            number=number,
            kind=self.kind,
            dim=dim,
            store=self._store_type,
            fingerprint=known or self._fingerprint,
            parameters=self._parameters(),
            segments=tuple(segments),
            files={name: entry for name, entry in files.items() if name in used},
        )
        snapshot = self._opened(generation, base)  # whatever cannot be opened is not published
        self._signature = self._store.publish(generation)
        self._snapshot = snapshot
        self._replacing = False

    def _merge(self, base: Snapshot, part: slice) -> None:
        """Replace neighbouring segments by one."""
        if base.generation is None:
            return
        number = self._store.next_number()
        parents = base.segments[part]
        dim = base.generation.dim
        merged = merge_segments(self._store.new_segment(number), parents, quantise=self._store_type == "int8")
        entries = [segment.entry for segment in base.segments]
        shared: Mapping[str, FileEntry] = {}
        if merged is not None:
            merged, shared = self._completed(merged, parents, base, number, dim)
        entries[part] = [] if merged is None else [merged]
        self._publish(base, entries, shared, number, dim)

    def _tidy(self) -> None:
        """Merge segments until the tiers are in order. Each merge is a generation of its own.

        What the caller asked for is published already, so a disk that is too full to merge is no error.
        """
        try:
            while part := next_merge([segment.entry for segment in self._snapshot.segments]):
                self._merge(self._snapshot, part)
        except OSError as error:
            logger.warning("segments of %s were not merged, which costs speed only: %s", self._store.folder, error)
            self._store.discard_unpublished()
