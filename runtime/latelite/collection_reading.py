"""Questions to a collection: searching it, and reading the documents that it holds."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, overload

import numpy as np

from latelite.arrays import Floats, Ints
from latelite.errors import StoreError, UnknownIdError
from latelite.explain import Match
from latelite.filters import parse
from latelite.opening import OpenCollection, Parts
from latelite.results import Document, Hit
from latelite.search import Mode, Where
from latelite.storage.identifiers import checked_id
from latelite.storage.rows import Moved, Row
from latelite.storage.snapshot import Snapshot, runs
from latelite.storage.storage import Storage

Default = TypeVar("Default")

_REQUIRED: Any = object()


class CollectionReader(OpenCollection):
    """What a collection can be asked, from several threads at once; each question is answered from one state."""

    def search(
        self,
        query: str,
        k: int = 5,
        *,
        where: Where | None = None,
        mode: Mode = "hybrid",
        explain: bool = False,
        min_score: float | None = None,
        group_by: str | None = None,
    ) -> list[Hit]:
        """The best ``k`` documents for a query, best first; of equal ones those that were added earlier.

        Args:
            query: free text in any language of the model. What exceeds the model's query length is told as a warning;
                its words count all the same.
            k: number of hits; fewer come back only when fewer documents match.
            where: restricts the candidates before they are scored: ``{"year": {"$gte": 2020}}`` (see
                `latelite.filters`) or a function of the metadata.
            mode: ``"hybrid"`` counts meaning and words, ``"semantic"`` and ``"lexical"`` are its halves. In lexical
                search only documents that share a word with the query are hits.
            explain: say in `Hit.matches` which parts match which words of the query.
            min_score: leave out hits below it. Scores are absolute, see `Hit`.
            group_by: name of a metadata field; of the documents with the same value only the best is a hit.

        Raises:
            ValueError: k is below 1, or there is no such mode.
            FilterError: ``where`` is no filter.
            TypeError: the query is no string.
        """
        return self.search_batch(
            [query], k, where=where, mode=mode, explain=explain, min_score=min_score, group_by=group_by
        )[0]

    def search_batch(
        self,
        queries: Sequence[str],
        k: int = 5,
        *,
        where: Where | None = None,
        mode: Mode = "hybrid",
        explain: bool = False,
        min_score: float | None = None,
        group_by: str | None = None,
    ) -> list[list[Hit]]:
        """As `search` for each of several queries, all of one state of the collection."""
        if isinstance(queries, str):
            raise TypeError("search_batch takes a list of queries; search takes one.")
        return self._now(
            lambda parts: parts.searcher.search(
                queries, k, where=where, mode=mode, explained=explain, min_score=min_score, group_by=group_by
            )
        )

    def explain(self, query: str, id: int | str) -> list[Match]:
        """Which parts of a document match which words of a query, in the order of the text.

        From the stored vectors; the document is not encoded again.

        Raises:
            UnknownIdError: there is no such document.
        """
        known = checked_id(id)
        return self._now(
            lambda parts: parts.storage.read(
                lambda view: parts.searcher.explain(query, _row(parts.storage, view, known), view)
            )
        )

    @overload
    def get(self, id: int | str) -> Document: ...

    @overload
    def get(self, id: int | str, default: Default) -> Document | Default: ...

    @overload
    def get(self, id: list[int] | list[str] | list[int | str]) -> list[Document]: ...

    @overload
    def get(self, id: list[int] | list[str] | list[int | str], default: Default) -> list[Document | Default]: ...

    def get(self, id: Any, default: Any = _REQUIRED) -> Any:
        """The stored document with an id, or those with a list of ids, in its order.

        Args:
            default: taken in place of a document that is not there.

        Raises:
            UnknownIdError: a document is not there, and no default was given.
        """
        if isinstance(id, list | tuple):
            known = [checked_id(each) for each in id]
            return self._read(lambda parts, view: [_found(parts.storage, view, each, default) for each in known])
        one = checked_id(id)
        return self._read(lambda parts, view: _found(parts.storage, view, one, default))

    def documents(self, where: Where | None = None, limit: int | None = None, offset: int = 0) -> list[Document]:
        """Documents in the order in which they were added.

        Args:
            where: as in `search`.
            limit: how many at most.
            offset: how many to pass over.
        """
        for name, value in (("limit", limit), ("offset", offset)):
            if value is not None and operator.index(value) < 0:
                raise ValueError(f"{name} must be at least 0, not {value}.")

        def found(parts: Parts, view: Snapshot) -> list[Document]:
            numbers = numbers_of(parts, view, where)[offset : None if limit is None else offset + limit]
            return [_document(row) for row in parts.storage.rows(view, numbers.tolist())]

        return self._read(found)

    def token_vectors(self) -> Iterator[tuple[Document, Floats]]:
        """All documents with their stored vectors, (tokens, dim) float32, one at a time, in the order of `ids`.

        Raises:
            StoreError: a writer removed or replaced documents meanwhile, so that what was read is no state at all.
        """
        view = self._now(lambda parts: parts.storage.view())
        for chunk in runs(view.numbers().tolist()):
            try:
                rows = self._storage.rows(view, chunk)
            except Moved as moved:
                raise StoreError(
                    f"{self.folder} changed while it was being read; try again when no one writes, or read a backup."
                ) from moved
            for row in rows:
                yield _document(row), self._storage.embeddings(view, row.number)

    def count(self, where: Where | None = None) -> int:
        """How many documents there are, or match a filter."""
        return self._read(lambda parts, view: len(numbers_of(parts, view, where)))

    @property
    def ids(self) -> list[int | str]:
        """Ids of all documents in the order in which they were added."""
        return self._now(lambda parts: parts.storage.ids())

    @property
    def tokens(self) -> int:
        """Token vectors that are stored, those of removed documents included until they are merged away."""
        return self._now(lambda parts: parts.storage.view().tokens)

    def __iter__(self) -> Iterator[Document]:
        """All stored documents in the order of `ids`; those that are removed meanwhile are left out."""
        self._now(lambda parts: parts.storage.view())
        return map(_document, self._storage.all_rows())

    def __len__(self) -> int:
        return self._now(lambda parts: len(parts.storage.view()))

    def __bool__(self) -> bool:
        """An empty collection is one, too."""
        return True

    def __contains__(self, id: object) -> bool:
        try:
            known = checked_id(id)
        except TypeError:
            return False
        return self._now(lambda parts: parts.storage.find([known])) != [None]


def numbers_of(parts: Parts, view: Snapshot, where: Where | None) -> Ints:
    """Numbers of the documents that match, ascending."""
    if where is None:
        return view.numbers()
    accepted = parts.searcher.accepted(view, where if callable(where) else parse(where))
    pairs = zip(view.parts, accepted, strict=True)
    numbers = [part.numbers if mask is None else part.numbers[mask] for part, mask in pairs]
    return np.concatenate([np.empty(0, np.int64), *numbers])


def _row(storage: Storage, view: Snapshot, id: int | str) -> Row:
    (number,) = storage.find([id])
    if number is None:
        raise UnknownIdError(f"The id {id!r} is not in the index.")
    if number not in view:
        raise Moved
    return storage.rows(view, [number])[0]


def _found(storage: Storage, view: Snapshot, id: int | str, default: Any) -> Any:
    try:
        return _document(_row(storage, view, id))
    except UnknownIdError:
        if default is _REQUIRED:
            raise
        return default


def _document(row: Row) -> Document:
    return Document(row.id, row.text, row.metadata, row.truncated)
