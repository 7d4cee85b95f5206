"""Reading an index: opening, following what writers publish, searching. `latelite.indexes.index` adds writing."""

from __future__ import annotations

import operator
import threading
from abc import ABC
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from latelite.errors import (
    IndexMismatchError,
    IndexNotFoundError,
    IndexVersionError,
    StoreError,
    UnknownIdError,
)
from latelite.indexes.documents import checked_queries
from latelite.indexes.generation import Generation
from latelite.indexes.identifiers import DocumentId, checked_id, checked_ids
from latelite.indexes.output import check_content
from latelite.indexes.ranking import Payload, accepted_documents, allowed_documents, ranked
from latelite.indexes.segment import Segment
from latelite.indexes.snapshot import Mask, OpenSegment, Snapshot
from latelite.indexes.store import Signature, Store
from latelite.manifest import FileEntry

StoreType = Literal["int8", "float32"]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

_QUERIES_AT_ONCE = 16
"""Queries that share one pass over the store; a bound on the memory that their scores take."""
_ATTEMPTS = 50


class IndexReader(ABC):
    """Token vectors of documents, searched with MaxSim.

    One object may be read from several threads. Each call sees one published state as a whole, the latest there is.
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

    def _companion(self, segment: Segment, shared: Mapping[str, Any]) -> Any:
        """Load what `_extend` wrote for a segment."""
        return None

    def _share(self, path: Path, entry: FileEntry, dim: int) -> Any:
        """Load a shared file of an index of dimension ``dim``."""
        return None

    def _candidates(self, view: Snapshot, query: Floats, k: int, allowed: Sequence[Mask | None]) -> list[Ints | None]:
        """Per segment the documents to score, ascending; None scores all that are allowed."""
        return [None] * len(view.segments)

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
        view, queries = self._checked(queries_embeddings, k)
        found = self._ranked(view, queries, k, allowed_documents(view, subset, len(queries)))
        return [
            [{"id": segment.files.ids[number], "score": score} for segment, number, score in _hits(view, *best)]
            for best in found
        ]

    def search(
        self, query_embeddings: Any, k: int = 10, *, where: Callable[[Payload], bool] | None = None
    ) -> list[tuple[DocumentId, float, Payload]]:
        """The ``k`` best documents of one query with their payloads, all of one published state.

        Args:
            query_embeddings: (query tokens, dim).
            k: results; fewer come back only when fewer documents are accepted.
            where: accepts or refuses a document by its payload, before scoring. It is asked for every document.

        Returns:
            Id, score and payload, in the order of `__call__`, which also says what is raised.
        """
        view, queries = self._checked([query_embeddings], k)
        allowed = view.live_masks() if where is None else accepted_documents(view, where)
        (best,) = self._ranked(view, queries, k, [allowed])
        return [
            (segment.files.ids[number], score, segment.files.payload(number))
            for segment, number, score in _hits(view, *best)
        ]

    def _checked(self, queries_embeddings: Any, k: int) -> tuple[Snapshot, list[Floats]]:
        if operator.index(k) < 1:
            raise ValueError(f"k must be at least 1, not {k}.")
        view = self._view()
        dim = view.generation.dim if view.generation else self._embedding_size
        return view, list(checked_queries(queries_embeddings, dim))

    def _ranked(
        self, view: Snapshot, queries: Sequence[Floats], k: int, allowed: Sequence[Sequence[Mask | None]]
    ) -> list[tuple[Ints, Floats]]:
        results: list[tuple[Ints, Floats]] = []
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            stop = min(start + _QUERIES_AT_ONCE, len(queries))
            batch, masks = queries[start:stop], allowed[start:stop]
            chosen = [self._candidates(view, query, k, mask) for query, mask in zip(batch, masks, strict=True)]
            results += ranked(view, batch, k, allowed=masks, chosen=chosen)
        return results

    def get_documents_embeddings(self, documents_ids: Sequence[Any]) -> list[Any]:
        """Token vectors by id, (tokens, dim) float32 each; a list of lists of ids gives a list of lists.

        Raises:
            UnknownIdError: an id is not in the index.
        """
        if len(documents_ids) and all(isinstance(ids, list | tuple) for ids in documents_ids):
            return [self.get_documents_embeddings(ids) for ids in documents_ids]
        view = self._view()
        return [segment.files.embeddings(number) for segment, number in _located(view, documents_ids)]

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


def _hits(view: Snapshot, numbers: Ints, scores: Floats) -> Iterator[tuple[OpenSegment, int, float]]:
    """Segment, number in it and score of each ranked document."""
    for number, score in zip(numbers.tolist(), scores.tolist(), strict=True):
        yield (*view.locate(number), score)


def _located(view: Snapshot, ids: Iterable[Any]) -> list[tuple[OpenSegment, int]]:
    """Segment and number of each document; raises UnknownIdError."""
    known = [checked_id(i) for i in ids]
    positions, numbers = view.find(known)
    if (positions < 0).any():
        raise UnknownIdError(f"The id {known[int(np.argmin(positions))]!r} is not in the index.")
    return [(view.segments[p], n) for p, n in zip(positions.tolist(), numbers.tolist(), strict=True)]
