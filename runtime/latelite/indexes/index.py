"""The protocol of all token indexes: what users call, and the three hooks that a kind of index fills in."""

from __future__ import annotations

import logging
import operator
import threading
from abc import ABC
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from latelite.errors import (
    DuplicateIdError,
    IndexMismatchError,
    IndexNotFoundError,
    IndexVersionError,
    StoreError,
    UnknownIdError,
)
from latelite.indexes.documents import Documents, checked_queries
from latelite.indexes.generation import Generation, Removed, SegmentEntry
from latelite.indexes.identifiers import DocumentId, checked_id, checked_ids, encoded_id
from latelite.indexes.merging import largest_grid, merge_segments, next_merge
from latelite.indexes.output import check_content, write_whole
from latelite.indexes.quantisation import Survey
from latelite.indexes.segment import BLOCK_TOKENS, Segment, encoded_payload, write_segment
from latelite.indexes.snapshot import Mask, OpenSegment, Snapshot
from latelite.indexes.store import SEGMENTS, Signature, Store
from latelite.manifest import FileEntry
from latelite.maxsim import maxsim_batch

StoreType = Literal["int8", "float32"]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

logger = logging.getLogger(__name__)

_QUERIES_AT_ONCE = 16
"""Queries that share one pass over the store; a bound on the memory that their scores take."""
_ATTEMPTS = 50


class TokenIndex(ABC):
    """Token vectors of documents, searched with MaxSim.

    One object may be read from several threads. Writes are serialised inside one object and refused (IndexLockedError)
    while another one writes; readers, in this process or another, see each write as a whole, at their next call.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        index_folder: str | Path = "latelite-index",
        index_name: str = "index",
        override: bool = False,
        *,
        embedding_size: int | None = None,
        fingerprint: str | None = None,
        store: StoreType = "int8",
    ) -> None:
        """Open the index ``index_folder/index_name``, or begin one that is created by the first add.

        Args:
            override: begin an empty index instead of opening the one that is there. The old one stays, and readers
                keep using it, until the first documents are published.
            embedding_size: dimension of the token vectors; None takes that of the first document.
            fingerprint: identifies the model. An index that remembers another one is refused.

        Raises:
            IndexVersionError: the index is of another kind or format version.
            IndexMismatchError: the index has another dimension, store or model.
            IndexCorruptError, IndexNotFoundError: a file of the index is damaged or missing.
            StoreError: the folder holds something else.
        """
        if not index_name or Path(index_name).name != index_name or index_name == "..":
            raise ValueError(f"index_name must be one folder name, not {index_name!r}.")
        if embedding_size is not None and embedding_size < 1:
            raise ValueError(f"embedding_size must be positive, not {embedding_size}.")
        self._embedding_size = embedding_size
        self._fingerprint = fingerprint
        self._store_type: StoreType = store
        self._store = Store(Path(index_folder) / index_name)
        self._lock = threading.RLock()
        self._closed = False
        self._snapshot = Snapshot()
        self._signature: Signature | None = None
        self._replacing = override
        self._store.check_usable()
        if not override:
            self.refresh()

    # ---------------------------------------------------------------------------------------------- what kinds fill in

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

    def _companion(self, segment: Segment, shared: Mapping[str, Any]) -> Any:
        """Load what `_extend` wrote for a segment."""
        return None

    def _share(self, path: Path, entry: FileEntry, dim: int) -> Any:
        """Load a shared file of an index of dimension ``dim``."""
        return None

    def _shared_in_use(self, segments: Sequence[SegmentEntry], files: Mapping[str, FileEntry]) -> set[str]:
        """Which of the shared ``files`` the segments still need."""
        return set(files)

    def _candidates(self, view: Snapshot, query: Floats, k: int, allowed: Sequence[Mask | None]) -> list[Ints | None]:
        """Per segment the documents to score, ascending; None scores all that are allowed."""
        return [None] * len(view.segments)

    # ------------------------------------------------------------------------------------------------------- searching

    def __call__(
        self,
        queries_embeddings: Any,
        k: int = 10,
        subset: Sequence[DocumentId] | Sequence[Sequence[DocumentId]] | None = None,
    ) -> list[list[dict[str, Any]]]:
        """Return the ``k`` best documents of each query, best first.

        Args:
            queries_embeddings: a list of (query tokens, dim) arrays, one 3-D array, or one query as a 2-D array.
            k: results per query; fewer come back only when fewer documents are in the index or the subset.
            subset: ids to search in: one list for all queries or one list per query. The restriction applies before
                scoring. Ids that are not in the index are passed over.

        Returns:
            Per query a list of ``{"id": ..., "score": float}``. Documents with equal scores come in the order in which
            they were added.

        Raises:
            ValueError: ``k`` is below 1, or as many subsets as queries were expected.
            InvalidVectorsError, IndexMismatchError: a query is not (tokens, dim) of finite numbers.
        """
        k = operator.index(k)
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}.")
        view = self._view()
        dim = view.generation.dim if view.generation else self._embedding_size
        queries = checked_queries(queries_embeddings, dim)
        if not len(view):
            return [[] for _ in queries]
        allowed = _allowed(view, subset, len(queries))
        results: list[list[dict[str, Any]]] = []
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            stop = min(start + _QUERIES_AT_ONCE, len(queries))
            results += self._search(view, queries[start:stop], k, allowed[start:stop])
        return results

    def _search(
        self, view: Snapshot, queries: Sequence[Floats], k: int, allowed: Sequence[Sequence[Mask | None]]
    ) -> list[list[dict[str, Any]]]:
        chosen = [self._candidates(view, query, k, masks) for query, masks in zip(queries, allowed, strict=True)]
        numbers: list[list[Ints]] = [[] for _ in queries]
        scores: list[list[Floats]] = [[] for _ in queries]
        for position, (segment, first) in enumerate(zip(view.segments, view.starts, strict=True)):
            files = segment.files
            scanned = [number for number in range(len(queries)) if chosen[number][position] is None]
            if scanned:
                batch = [queries[number] for number in scanned]
                rows = maxsim_batch(batch, files.tokens, files.offsets, quantisation=files.quantisation)
                for number, row in zip(scanned, rows, strict=True):
                    mask = allowed[number][position]
                    kept = np.arange(len(files)) if mask is None else np.flatnonzero(mask)
                    numbers[number].append(kept + first)
                    scores[number].append(row if mask is None else row[kept])
            for number, query in enumerate(queries):
                documents = chosen[number][position]
                if documents is None or not len(documents):
                    continue
                row = maxsim_batch(
                    [query], files.tokens, files.offsets, documents=documents, quantisation=files.quantisation
                )[0]
                numbers[number].append(documents + first)
                scores[number].append(row)
        return [_hits(view, n, s, k) for n, s in zip(numbers, scores, strict=True)]

    def get_documents_embeddings(self, documents_ids: Sequence[Any]) -> list[Any]:
        """Token vectors by id, (tokens, dim) float32 each; a list of lists of ids gives a list of lists.

        Raises:
            UnknownIdError: an id is not in the index.
        """
        if len(documents_ids) and all(isinstance(ids, list | tuple) for ids in documents_ids):
            return [self.get_documents_embeddings(ids) for ids in documents_ids]
        view = self._view()
        return [segment.files.embeddings(number) for segment, number in _located(view, documents_ids)]

    # --------------------------------------------------------------------------------------------------------- writing

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
            survey = Survey(largest_grid(segment.files for segment in base.segments))
            for block in documents.blocks(BLOCK_TOKENS):  # refuses what is not finite before anything is written
                survey.add(block)
            grid = survey.grid() if self._store_type == "int8" else None
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

    # ------------------------------------------------------------------------------------------- state and life cycle

    def refresh(self) -> Self:
        """Move to the last published generation. Every call does so by itself; this one also reports damage.

        Raises:
            IndexVersionError, IndexMismatchError, IndexCorruptError, IndexNotFoundError: as at opening.
        """
        self._check_open()
        with self._lock:
            for attempt in range(_ATTEMPTS):
                signature = self._store.signature()
                try:
                    generation = self._store.current()
                    if generation is None:
                        if self._snapshot.generation is not None:
                            raise IndexNotFoundError(f"The index {self._store.folder} was deleted.")
                        return self
                    self._check_fits(generation)
                    self._snapshot = self._opened(generation, self._snapshot)
                    self._signature = signature
                    return self
                except (IndexNotFoundError, FileNotFoundError):
                    # A writer may have published and deleted what the pointer named when we read it.
                    if attempt == _ATTEMPTS - 1 or self._store.signature() == signature:
                        raise
        return self

    def _opened(self, generation: Generation, previous: Snapshot) -> Snapshot:
        return Snapshot.open(
            self._store.folder, generation, previous=previous, companion=self._companion, share=self._share
        )

    def _view(self) -> Snapshot:
        """The snapshot to read from: one ``stat``, and a reload only when something was published."""
        self._check_open()
        if not self._replacing and self._store.signature() != self._signature:
            self.refresh()
        return self._snapshot

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"The index {self._store.folder} was closed.")

    def _check_fits(self, generation: Generation) -> None:
        """Raise when the published index is not what this object was made for."""
        folder = self._store.folder
        if generation.kind != self.kind:
            raise IndexVersionError(f"{folder} is an index of kind {generation.kind!r}, not {self.kind!r}.")
        if self._embedding_size not in (None, generation.dim):
            raise IndexMismatchError(f"{folder} has dimension {generation.dim}, not {self._embedding_size}.")
        if generation.store != self._store_type:
            raise IndexMismatchError(f"{folder} stores {generation.store} vectors, not {self._store_type}.")
        if None not in (self._fingerprint, generation.fingerprint) and self._fingerprint != generation.fingerprint:
            raise IndexMismatchError(
                f"{folder} was built with another model (fingerprint {generation.fingerprint}, not "
                f"{self._fingerprint}); open it with that model, or build it again with override=True."
            )

    def verify(self) -> None:
        """Read every file of the index and check its checksum and structure.

        Raises:
            IndexCorruptError, IndexNotFoundError: naming the file.
        """
        view = self._view()
        if view.generation is None:
            return
        for name, entry in view.generation.files.items():
            check_content(self._store.folder / name, entry)
        for segment in view.segments:
            segment.files.verify()
            segment.files.live(segment.entry.removed)
        checked_ids(view.ids())

    def __len__(self) -> int:
        return len(self._view())

    def __contains__(self, document_id: object) -> bool:
        try:
            known = checked_id(document_id)
        except TypeError:
            return False
        positions, _ = self._view().find([known])
        return bool(positions[0] >= 0)

    @property
    def ids(self) -> list[DocumentId]:
        """Ids of all documents in the order of insertion."""
        return list(self._view().ids())

    @property
    def embedding_size(self) -> int | None:
        """Dimension of the token vectors; None while the index is empty and none was given."""
        view = self._view()
        return view.generation.dim if view.generation else self._embedding_size

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the model that the index belongs to."""
        view = self._view()
        return (view.generation.fingerprint if view.generation else None) or self._fingerprint

    @property
    def tokens(self) -> int:
        """Token vectors in the files, those of removed documents included until they are merged away."""
        return sum(segment.entry.tokens for segment in self._view().segments)

    def payload(self, document_id: DocumentId) -> dict[str, Any] | None:
        """The payload of a document; raises UnknownIdError."""
        ((segment, number),) = _located(self._view(), [document_id])
        return segment.files.payload(number)

    def payloads(self) -> Iterator[tuple[DocumentId, dict[str, Any] | None]]:
        """Id and payload of all documents in the order of insertion, read one at a time."""
        for segment, number in self._view().documents():
            yield segment.files.ids[number], segment.files.payload(number)

    def close(self) -> None:
        """Let go of all files; any later call raises StoreError."""
        with self._lock:
            self._closed = True
            self._snapshot = Snapshot()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._store.folder)!r})"


def _allowed(view: Snapshot, subset: Sequence[Any] | None, queries: int) -> list[list[Mask | None]]:
    """Per query and segment the documents that may be scored."""
    live = view.live_masks()
    if subset is None:
        return [live] * queries
    if isinstance(subset, str | bytes):
        raise TypeError("subset must be a list of ids, not one string.")
    if len(subset) and all(isinstance(ids, list | tuple | set | frozenset) for ids in subset):
        if len(subset) != queries:
            raise ValueError(f"{len(subset)} subsets for {queries} queries; pass one list of ids, or one per query.")
        return [list(view.masks([checked_id(i) for i in ids])) for ids in subset]
    return [list(view.masks([checked_id(i) for i in subset]))] * queries


def _located(view: Snapshot, ids: Iterable[Any]) -> list[tuple[OpenSegment, int]]:
    """Segment and number of each document; raises UnknownIdError."""
    known = [checked_id(i) for i in ids]
    positions, numbers = view.find(known)
    if (positions < 0).any():
        raise UnknownIdError(f"The id {known[int(np.argmin(positions))]!r} is not in the index.")
    return [(view.segments[p], n) for p, n in zip(positions.tolist(), numbers.tolist(), strict=True)]


def _hits(view: Snapshot, numbers: Sequence[Ints], scores: Sequence[Floats], k: int) -> list[dict[str, Any]]:
    """The ``k`` best of the scored documents, equal scores in the order of insertion."""
    if not numbers:
        return []
    number, score = np.concatenate(numbers), np.concatenate(scores)
    if len(score) > k:
        # Everything that ties with the k-th score stays in until the stable sort has put ties in order.
        kept = np.flatnonzero(score >= np.partition(score, len(score) - k)[len(score) - k])
        number, score = number[kept], score[kept]
    order = np.argsort(-score, kind="stable")[:k]
    hits = []
    for n, s in zip(number[order].tolist(), score[order].tolist(), strict=True):
        segment, document = view.locate(n)
        hits.append({"id": segment.files.ids[document], "score": s})
    return hits
