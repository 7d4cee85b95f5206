"""The protocol of all token indexes: what users of vectors call. `latelite.Collection` is the one for texts."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, overload

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats, Ints, Mask, distinct
from latelite.errors import UnknownIdError
from latelite.indexes.documents import Documents
from latelite.indexes.queries import checked_queries
from latelite.indexes.ranking import Query, rank
from latelite.storage.identifiers import DocumentId, checked_id, checked_ids
from latelite.storage.kind import IndexKind
from latelite.storage.rows import Moved
from latelite.storage.segments import BLOCK_TOKENS
from latelite.storage.snapshot import Snapshot
from latelite.storage.storage import Storage
from latelite.storage.verification import verify
from latelite.storage.writer import Writer

if TYPE_CHECKING:
    from latelite.rank import RerankResult


class TokenIndex:
    """Token vectors of documents, searched with MaxSim.

    One object may be used from several threads, several processes may use one index. Each call sees one state as a
    whole, the latest there is. Writers wait for each other for up to ``timeout`` seconds.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        kind: IndexKind,
        index_folder: str | Path = "latelite-index",
        index_name: str = "index",
        override: bool = False,
        *,
        embedding_size: int | None = None,
        fingerprint: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Open the index ``index_folder/index_name``, or begin one that is created by the first add.

        Settings of the kind that are left out are those that the index was last written with.

        Args:
            override: begin an empty index instead of opening the one that is there. The old one stays, and readers
                keep using it, until the first documents are written.
            embedding_size: dimension of the token vectors; None takes that of the first document.
            fingerprint: identifies the model. An index that remembers another one is refused; one that was made
                without cannot tell vectors of another model of the same dimension.
            timeout: seconds to wait for another writer.

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
        folder = Path(index_folder).expanduser() / index_name
        self._kind = kind
        self._storage = Storage(folder, kind, dim=embedding_size, fingerprint=fingerprint, timeout=timeout)
        self._writer = Writer(self._storage)
        self._storage.check_usable()
        self._storage.replacing = override
        if not override:
            self._storage.refresh()

    # --------------------------------------------------------------------------------------------------------- reading

    def __call__(
        self,
        queries_embeddings: Sequence[Floats] | NDArray[Any],
        k: int = 10,
        subset: Sequence[DocumentId] | Sequence[Sequence[DocumentId]] | None = None,
        *,
        k_token: int | None = None,
    ) -> list[list[RerankResult]]:
        """Return the ``k`` best documents of each query, best first.

        Args:
            queries_embeddings: a list of (query tokens, dim) arrays, one 3-D array, or one query as a 2-D array.
            k: results per query; fewer come back only when fewer documents are in the index or the subset.
            subset: ids to search in: one list for all queries or one list per query. The restriction applies before
                scoring. Ids that are not in the index are passed over.
            k_token: for this call in place of the setting of this name, where the kind has one.

        Returns:
            Per query a list of ``{"id": ..., "score": float}``. Documents with equal scores come in the order in which
            they were added.

        Raises:
            ValueError: ``k`` or ``k_token`` is below 1, or as many subsets as queries were expected.
            InvalidVectorsError, IndexMismatchError: a query is not (tokens, dim) of finite numbers.
        """
        if operator.index(k) < 1:
            raise ValueError(f"k must be at least 1, not {k}.")
        if k_token is not None and operator.index(k_token) < 1:
            raise ValueError(f"k_token must be at least 1, not {k_token}.")

        def answered(view: Snapshot) -> list[list[RerankResult]]:
            dim = view.settings.dim if view.settings else self._storage.dim
            queries = checked_queries(queries_embeddings, dim)
            allowed = self._allowed(view, subset, len(queries))
            asked = [Query(query, masks) for query, masks in zip(queries, allowed, strict=True)]
            kind = self._kind.with_settings(k_token=k_token)
            best = rank(kind, view, asked, k)
            return [
                [
                    {"id": row.id, "score": score}
                    for row, score in zip(
                        self._storage.rows(view, ranking.numbers.tolist()), ranking.totals.tolist(), strict=True
                    )
                ]
                if len(ranking.numbers)
                else []
                for ranking in best
            ]

        return self._storage.read(answered)

    def _allowed(self, view: Snapshot, subset: Sequence[Any] | None, queries: int) -> list[list[Mask | None]]:
        """Per query and part the documents that may be scored; None where all may.

        Raises:
            ValueError: one subset per query was given, but not as many as queries.
            TypeError: an id is neither a string nor an integer.
        """
        if subset is None:
            return [view.live_masks()] * queries
        if isinstance(subset, str | bytes):
            raise TypeError("subset must be a list of ids, not one string.")
        if len(subset) and all(isinstance(ids, list | tuple | set | frozenset) for ids in subset):
            if len(subset) != queries:
                raise ValueError(
                    f"{len(subset)} subsets for {queries} queries; pass one list of ids, or one per query."
                )
            return [list(view.masks(self._numbers(ids))) for ids in subset]
        return [list(view.masks(self._numbers(subset)))] * queries

    def _numbers(self, ids: Sequence[Any]) -> Ints:
        """Numbers of those of the documents that are in the index, ascending."""
        found = self._storage.find([checked_id(i) for i in ids])
        return distinct(np.array([number for number in found if number is not None], np.int64))

    @overload
    def get_documents_embeddings(  # type: ignore[overload-overlap]  # a str is a Sequence[str], too
        self, documents_ids: Sequence[DocumentId]
    ) -> list[Floats]: ...

    @overload
    def get_documents_embeddings(self, documents_ids: Sequence[Sequence[DocumentId]]) -> list[list[Floats]]: ...

    def get_documents_embeddings(self, documents_ids: Sequence[Any]) -> list[Any]:
        """Token vectors by id, (tokens, dim) float32 each; a list of lists of ids gives a list of lists.

        Raises:
            UnknownIdError: an id is not in the index.
            IndexCorruptError: the vectors of one of them are damaged.
        """
        if len(documents_ids) and all(isinstance(ids, list | tuple) for ids in documents_ids):
            return [self.get_documents_embeddings(ids) for ids in documents_ids]
        ids = [checked_id(i) for i in documents_ids]

        def found(view: Snapshot) -> list[Floats]:
            vectors = []
            for id_, number in zip(ids, self._storage.find(ids), strict=True):
                if number is None:
                    raise UnknownIdError(f"The id {id_!r} is not in the index.")
                if number not in view:
                    raise Moved
                vectors.append(self._storage.embeddings(view, number))
            return vectors

        return self._storage.read(found)

    def refresh(self) -> Self:
        """Move to the last committed state. Every call does so by itself; this one also reports damage.

        Raises:
            IndexVersionError, IndexMismatchError, IndexCorruptError, IndexNotFoundError: as at opening.
        """
        self._storage.check_open()
        self._storage.refresh()
        return self

    def verify(self) -> None:
        """Read every file of the index and check its checksum and structure.

        Raises:
            IndexCorruptError, IndexNotFoundError: naming the file, and the documents where it is theirs.
        """
        verify(self._storage)

    def __len__(self) -> int:
        return len(self._storage.view())

    def __contains__(self, document_id: object) -> bool:
        try:
            known = checked_id(document_id)
        except TypeError:
            return False
        return not self._storage.replacing and self._storage.find([known]) != [None]

    @property
    def ids(self) -> list[DocumentId]:
        """Ids of all documents in the order of insertion."""
        return [] if self._storage.replacing else self._storage.ids()

    @property
    def embedding_size(self) -> int | None:
        """Dimension of the token vectors; None while the index is empty and none was given."""
        settings = self._storage.view().settings
        return settings.dim if settings else self._storage.dim

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the model that the index belongs to."""
        settings = self._storage.view().settings
        return (settings.fingerprint if settings else None) or self._storage.fingerprint

    @property
    def tokens(self) -> int:
        """Token vectors that are stored, those of removed documents included until they are merged away."""
        return self._storage.view().tokens

    # --------------------------------------------------------------------------------------------------------- writing

    def add_documents(
        self,
        documents_ids: Sequence[DocumentId],
        documents_embeddings: Sequence[Any],
        batch_size: int | None = None,
    ) -> Self:
        """Add documents; when the call returns, they are on the disk.

        Small calls are cheap: vectors wait in the catalogue until there are enough for a segment. A call also merges
        segments, at most some eight times what it added (and 131,072 tokens); `compact` does the rest.

        Args:
            documents_ids: str or int, each new and once.
            documents_embeddings: (tokens, dim) arrays of any float type, each with at least one token.
            batch_size: accepted for PyLate's sake; the documents of one call are always written together.

        Raises:
            DuplicateIdError: an id occurs twice or is in the index already (`update_documents` replaces).
            InvalidVectorsError, IndexMismatchError: naming the document.
            IndexLockedError: another writer is still at work after ``timeout`` seconds.
            IndexWriteError: disk full or no permission.
            In each case nothing was added.
        """
        return self._put(documents_ids, documents_embeddings, replacing=False)

    def update_documents(
        self,
        documents_ids: Sequence[DocumentId],
        documents_embeddings: Sequence[Any],
        batch_size: int | None = None,
    ) -> Self:
        """Add documents, replacing those whose ids are in the index, all or nothing.

        Replaced documents move to the end of the order of insertion. Raises as `add_documents`.
        """
        return self._put(documents_ids, documents_embeddings, replacing=True)

    def _put(
        self, documents_ids: Sequence[DocumentId], documents_embeddings: Sequence[Any], *, replacing: bool
    ) -> Self:
        self._storage.check_open()
        ids = checked_ids(documents_ids)
        documents = Documents(ids, documents_embeddings)
        if not ids:
            return self
        documents.check_finite(BLOCK_TOKENS)
        with self._writer.transaction() as transaction:
            dim = transaction.dim or documents.arrays[0].shape[1]
            documents.check_dim(dim)
            transaction.put(documents, dim=dim, replacing=replacing)
        self._writer.tidy(int(documents.lengths.sum()))
        return self

    def remove_documents(self, documents_ids: Sequence[DocumentId]) -> Self:
        """Remove documents by id; when the call returns, that is on the disk.

        Raises:
            UnknownIdError: an id is not in the index; nothing was removed.
            DuplicateIdError: an id occurs twice in the call.
            IndexLockedError, IndexWriteError: as `add_documents`.
        """
        self._storage.check_open()
        ids = checked_ids(documents_ids)
        if not ids:
            return self
        if self._storage.view().settings is None:
            raise UnknownIdError(f"The id {ids[0]!r} is not in the index; nothing was removed.")
        with self._writer.transaction() as transaction:
            transaction.remove(ids)
        self._writer.tidy(0)
        return self

    def compact(self) -> Self:
        """Rewrite everything as one segment without removed documents: the smallest and fastest form.

        What was removed is gone from the disk afterwards. Other writers wait meanwhile.

        Raises:
            IndexCorruptError: documents are damaged, naming them.
            IndexLockedError, IndexWriteError: as `add_documents`.
        """
        self._storage.check_open()
        if not self._storage.replacing:
            self._writer.compact()
        return self

    # ------------------------------------------------------------------------------------------------------- life time

    def close(self) -> None:
        """Let go of all files; any later call raises StoreError."""
        self._storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._storage.folder)!r})"
