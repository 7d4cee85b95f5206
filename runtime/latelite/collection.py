"""Model, index, texts and metadata in one folder: the part that an app talks to."""

from __future__ import annotations

import logging
import operator
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from latelite import default_model, indexes
from latelite.arrays import Floats, Ints
from latelite.bundle import Bundle
from latelite.collection_folder import HEADER_NAME, MODEL, Header, create, current
from latelite.errors import (
    IndexMismatchError,
    IndexNotFoundError,
    StoreError,
    UnknownIdError,
)
from latelite.explain import Match
from latelite.filter_sql import index_expression
from latelite.filters import parse
from latelite.indexes.documents import Documents
from latelite.manifest import Precision
from latelite.models import ColBERT
from latelite.opening import Options, Parts, open_parts
from latelite.progress import Progress
from latelite.results import Document, Hit
from latelite.search import Mode, Searcher, Where
from latelite.storage import backup
from latelite.storage.identifiers import checked_id, checked_ids
from latelite.storage.metadata import index_field
from latelite.storage.rows import Moved, Row
from latelite.storage.snapshot import Snapshot, runs
from latelite.storage.storage import Storage
from latelite.storage.verification import verify
from latelite.storage.writer import Writer
from latelite.texts import GROUP_DOCUMENTS, GROUP_TOKENS, EncodedTexts, Text, append, batches, encode, metadata_json

if TYPE_CHECKING:
    from latelite.sources.report import Report

logger = logging.getLogger(__name__)

PUBLISH_EVERY = GROUP_DOCUMENTS

Default = TypeVar("Default")
Answer = TypeVar("Answer")

_REQUIRED: Any = object()


class Collection:
    """A searchable folder.

    The model is copied into the folder (sharing blocks where the file system can), with the one graph that is used, so
    that the folder can be moved to another machine and opened there without naming a model. A new folder is its
    owner's alone.

    One object may be used from several threads, and one folder by several processes: readers never wait for a writer
    (but for the moment of a commit, when texts are read), writers wait for each other for up to ``timeout`` seconds. A
    search sees the last state that was committed when it began. That holds for the processes of one machine. Between
    machines that share a network drive it depends on the drive's locks, and a reader of one is hit by an error of the
    system when a writer of another deletes a file that it has open: there, read a backup or a copy of your own.

    A forked process may go on with the object; each process opens the database for itself.

    Args:
        folder: opened when it holds a collection, created when it does not exist; ``~`` is the home folder.
        model: bundle folder, name of an installed model, or loaded `ColBERT`. When opening a collection it must be the
            model that it was made with, and may be left out; a new collection takes the installed model then.
        precision: which graph of the bundle encodes, None for the one that suits this CPU; int8 and fp32 may share a
            collection.
        threads: CPU threads for encoding; default: all usable.
        index: name of the index kind for a new collection, see `latelite.indexes`. None takes ``"IVF"``, which scans
            everything while that is fast, and begins to look at likely documents only as it grows. ``"Exact"`` always
            scans everything.
        index_settings: settings of the kind, by the names that its class has in `latelite.indexes`; they are recorded
            with the next write. What is left out stays as it was recorded.
        pool_factor: token pooling of documents in a new collection; 2 halves its size.
        read_only: open what is there; nothing is created or written, not even to undo what a killed writer left.
        timeout: seconds to wait for another writer.

    Raises:
        StoreError: the folder holds something else, is damaged, or was made with another model.
        IndexNotFoundError: ``read_only``, and there is no collection.
        BundleError: the bundle cannot be used.
    """

    def __init__(
        self,
        folder: str | Path,
        model: str | Path | ColBERT | None = None,
        *,
        precision: Precision | None = None,
        threads: int | None = None,
        index: str | None = None,
        index_settings: Mapping[str, int] | None = None,
        pool_factor: int | None = None,
        read_only: bool = False,
        timeout: float = 30.0,
    ) -> None:
        self.folder = Path(folder).expanduser()
        if index is not None:
            indexes.make_kind(index, index_settings or {})
        _check_pool_factor(pool_factor)
        self._options = Options(precision, threads, dict(index_settings or {}), read_only, timeout)
        if not (self.folder / HEADER_NAME).exists():
            if read_only:
                raise IndexNotFoundError(f"{self.folder} holds no collection, and read_only=True creates none.")
            _create(self.folder, model, precision, index or "IVF", pool_factor or 1, timeout)
        header, _ = current(self.folder)
        for name, asked in (("index", index), ("pool_factor", pool_factor)):
            if asked is not None and asked != getattr(header, name):
                raise IndexMismatchError(
                    f"{self.folder} has {name}={getattr(header, name)!r}, not {asked!r}; reindex changes it."
                )
        self._parts = open_parts(self.folder, model, self._options)
        self._following = threading.RLock()

    @property
    def model(self) -> ColBERT:
        """The encoder."""
        return self._parts.model

    @property
    def index_kind(self) -> str:
        """Name of the kind of index, see `latelite.indexes`."""
        return self._parts.header.index

    @property
    def index_settings(self) -> dict[str, Any]:
        """Settings of the kind of index."""
        return self._parts.kind.parameters()

    @property
    def pool_factor(self) -> int:
        """Token pooling of documents; 1 for none."""
        return self._parts.header.pool_factor

    @property
    def _storage(self) -> Storage:
        return self._parts.storage

    @property
    def _writer(self) -> Writer:
        return self._parts.writer

    def ask(self, question: Callable[[Searcher], Answer]) -> Answer:
        """Put a question to what answers queries now, as searches over several collections at once do.

        It is put once more, to what there is then, when the collection was reindexed in between.
        """
        return self._now(lambda parts: question(parts.searcher))

    def _now(self, question: Callable[[Parts], Answer]) -> Answer:
        """Ask what is open; once more, when the collection was reindexed in between."""
        parts = self._parts
        try:
            return question(parts)
        except StoreError:
            if not self._follow(parts):
                raise
        return question(self._parts)

    def _follow(self, parts: Parts) -> bool:
        """Open the collection again, if it was reindexed since ``parts`` were opened; returns whether it was."""
        with self._following:
            if parts is not self._parts:  # another thread was first
                return True
            parts.storage.check_open()
            if current(self.folder)[0] == parts.header:
                return False
            self._parts = open_parts(self.folder, None, self._options)
            parts.storage.close()
            return True

    # --------------------------------------------------------------------------------------------------------- writing

    def add(
        self,
        ids: Sequence[int | str],
        texts: Sequence[str],
        metadata: Sequence[Mapping[str, Any]] | None = None,
        *,
        show_progress_bar: bool | None = None,
        on_progress: Callable[[int], object] | None = None,
    ) -> None:
        """Add documents; an id that is there already gets the new text and metadata.

        Everything is checked before anything is written. Documents are written in groups (of 512, or of 65,536
        tokens), each group entirely or not at all, and merged into larger segments in proportion to what was added;
        `compact` does the rest. When this returns, all of them survive a power cut.

        Args:
            ids: unique strings or integers.
            texts: one per id; what exceeds the model's document length is cut when encoding, but stored whole and
                found by its words.
            metadata: one JSON-serialisable mapping per id.
            show_progress_bar: None shows it when standard error is a terminal.
            on_progress: called with the number of documents encoded since its last call, instead of a bar.

        Raises:
            TypeError, ValueError: lengths differ, a text is no string, or metadata cannot be written as JSON.
            DuplicateIdError: an id occurs twice.
            IndexLockedError: another writer is still at work after ``timeout`` seconds.
            IndexWriteError: disk full or no permission.
        """
        for name, each in (("ids", ids), ("texts", texts), ("metadata", metadata)):
            if isinstance(each, str | bytes):
                raise TypeError(f"{name} must be a list, not one string.")
        ids = checked_ids(ids)
        given = [{}] * len(ids) if metadata is None else list(metadata)
        if not len(ids) == len(texts) == len(given):
            raise ValueError(
                f"ids, texts and metadata must have the same length, not {len(ids)}, {len(texts)} and {len(given)}."
            )

        def checked() -> Iterator[Text]:
            return (Text.of(*each) for each in zip(ids, texts, given, strict=True))

        for _ in checked():
            pass
        shown = False if on_progress is not None else show_progress_bar
        with Progress("adding documents", total=len(ids), enabled=shown) as bar:
            self._add(checked(), on_progress or bar.advance)

    def add_documents(
        self,
        documents: Iterable[Document | Mapping[str, Any]],
        *,
        on_progress: Callable[[int], object] | None = None,
    ) -> int:
        """Add documents from any iterable, a group in memory at a time, as `add` does; returns how many.

        Args:
            documents: `Document` objects, or mappings with ``id``, ``text`` and, where there is some, ``metadata``.

        Raises:
            as `add`, for a document when its turn comes: the groups before it are written.
            DuplicateIdError: an id occurs twice in one group; later on it replaces the earlier one.
        """
        count = 0

        def counted(step: int) -> None:
            nonlocal count
            count += step
            if on_progress is not None:
                on_progress(step)

        self._add(map(_as_text, documents), counted)
        return count

    def _add(self, texts: Iterator[Text], advance: Callable[[int], object]) -> None:
        self._storage.check_open()
        self._follow(self._parts)
        group = EncodedTexts()
        total = 0
        for batch in batches(texts, self.model.manifest.settings.document_length):
            if not group.texts:
                self._writer.check_possible()  # before texts are encoded in vain
            encode(self.model, batch, group, pool_factor=self.pool_factor)
            advance(len(batch))
            if len(group.texts) >= GROUP_DOCUMENTS or int(group.lengths.sum()) >= GROUP_TOKENS:
                total += self._put(group, total)
                group = EncodedTexts()
        if group.texts:
            self._put(group, total)

    def _put(self, group: EncodedTexts, before: int) -> int:
        """Write a group; returns its tokens."""
        if len(set(group.ids)) != len(group.ids):
            checked_ids(group.ids)
        tokens = int(group.lengths.sum())
        with self._writer.transaction() as transaction:
            transaction.put(group, dim=self.model.dim, replacing=True)
        if any(group.cut):
            logger.info(
                "%d of %d texts are longer than the model's document length; their ends are found by words only.",
                sum(group.cut),
                len(group.cut),
            )
        self._writer.tidy(tokens + before)
        return tokens

    def add_files(
        self,
        *paths: str | Path,
        exclude: Sequence[str] = (),
        suffixes: Sequence[str] | None = None,
        passage_length: int | None = None,
        keep_missing: bool = False,
        dry_run: bool = False,
    ) -> Report:
        """Make the collection what files and folders are: what ``latelite index`` does.

        Files become passages of their own, with ``path``, ``line``, ``page``, ``heading`` and ``title`` as metadata
        where these are known; documents in JSON lines keep their ids and metadata. What is new or changed since the
        last call is encoded, what is gone is removed; documents that were not made of files are left alone. A call
        that is interrupted leaves a collection that the next one completes.

        Args:
            paths: files and folders; none for those that were added before.
            exclude: patterns of files to leave out, as in a ``.gitignore``. (A file ``.latelignore`` in a folder does
                the same for what is below.)
            suffixes: only names in folders that end like this; None takes everything that holds text.
            passage_length: characters of a passage at most, besides the bound that the model sets.
            keep_missing: keep the passages of files that are gone.
            dry_run: change nothing, only count.

        Raises:
            FileNotFoundError: a path does not exist.
            IndexLockedError: another process is doing the same, or writing, for more than ``timeout`` seconds.
            IndexWriteError: disk full or no permission; what was done before stays.
            A file that cannot be read is no error here: `Report.failed` has them.
        """
        from latelite.sources import adding, roots

        self._storage.check_open()
        return adding.add_files(
            self,
            roots.resolve(paths) if paths else None,
            exclude=exclude,
            suffixes=suffixes,
            passage_length=passage_length,
            keep_missing=keep_missing,
            dry_run=dry_run,
            timeout=self._storage.catalogue.timeout,
        )

    def update_metadata(self, ids: Sequence[int | str], metadata: Sequence[Mapping[str, Any]]) -> None:
        """Replace the metadata of documents, without encoding anything; all or nothing.

        Raises:
            UnknownIdError: an id is not there.
            DuplicateIdError, TypeError, ValueError: as `add`.
        """
        ids = checked_ids(ids)
        if len(ids) != len(metadata):
            raise ValueError(f"ids and metadata must have the same length, not {len(ids)} and {len(metadata)}.")
        contents = [metadata_json(id_, each) for id_, each in zip(ids, metadata, strict=True)]
        if ids:
            with self._writer.transaction() as transaction:
                transaction.update_metadata(ids, contents)

    def remove(self, ids: Sequence[int | str] | None = None, *, where: Where | None = None) -> int:
        """Remove documents by their ids, or those that match a filter; returns how many.

        They are gone from every search at once, and from the disk after `compact`.

        Raises:
            UnknownIdError: one of the ids is not there; nothing was removed.
            ValueError: neither ids nor a filter were given, or both.
        """
        if (ids is None) == (where is None):
            raise ValueError("remove takes either ids or where=.")
        known = None if ids is None else checked_ids(ids)
        if known == [] or (known is None and self._storage.view().settings is None):
            return 0
        with self._writer.transaction() as transaction:
            if known is None:
                numbers = set(_numbers(self._parts, transaction.base, where).tolist())
                known = [id_ for number, id_ in transaction.ids() if number in numbers]
            transaction.remove(known)
        self._writer.tidy(0)
        return len(known)

    def compact(self) -> None:
        """Rewrite everything as one segment, and without what was removed, which is gone from the disk afterwards.

        Other writers wait meanwhile; searches go on.
        """
        self._writer.compact()

    def reindex(
        self,
        *,
        index: str | None = None,
        index_settings: Mapping[str, int] | None = None,
        pool_factor: int | None = None,
        model: str | Path | ColBERT | None = None,
        show_progress_bar: bool | None = None,
        on_progress: Callable[[int], object] | None = None,
    ) -> None:
        """Index everything anew, from what the collection holds; what is left out stays as it is.

        With another model or pooling, all texts are encoded again. Searches have the old answers until the new ones
        are complete, writers wait only for the last moment. Another kind of index, or other settings of it, take the
        stored vectors; writers wait meanwhile. Until the end both indexes take space on the disk. Whatever ends the
        process before that leaves the collection as it was, and a later call with the same arguments goes on where an
        encoding stopped.

        Ids, texts, metadata, their indexes, and what `add_files` knows of files are kept. Passages of files stay as
        they were cut. Everyone who has the collection open goes on with the new index.

        Args:
            index: name of the kind of index, see `latelite.indexes`.
            index_settings: settings of the kind, see `Collection`. With another kind, those left out take its defaults.
            pool_factor: token pooling of documents.
            model: bundle folder, name of an installed model, or loaded `ColBERT`.
            show_progress_bar: None shows it when standard error is a terminal.
            on_progress: called with the number of documents encoded since its last call, instead of a bar.

        Raises:
            ValueError: no such kind of index, setting or pooling.
            BundleError: the model cannot be used.
            IndexLockedError: another process is writing or reindexing for more than ``timeout`` seconds.
            IndexWriteError: disk full, no permission, or ``read_only``; the collection is as it was.
        """
        from latelite.reindexing import Target, reindex
        from latelite.sources.turn import turn

        parts = self._parts
        parts.storage.check_open()
        self._follow(parts)
        parts = self._parts
        _check_pool_factor(pool_factor)
        name = index or self.index_kind
        kept = self.index_settings if name == self.index_kind else {}
        kept = {setting: value for setting, value in kept.items() if value is not None}
        kind = indexes.make_kind(name, {**kept, **(index_settings or {})})
        timeout = self._options.timeout
        if model is None:
            loaded = parts.model
        elif isinstance(model, ColBERT):
            loaded = model
        else:
            precision = self._options.precision
            folder = default_model.resolve(model, precision=precision)
            loaded = ColBERT(folder, precision=precision, threads=self._options.threads)
        manifest = loaded.manifest
        header = Header(manifest.checkpoint["id"], manifest.fingerprint, name, pool_factor or self.pool_factor)
        encoding = (header.fingerprint, header.pool_factor) != (parts.header.fingerprint, parts.header.pool_factor)
        shown = False if on_progress is not None or not encoding else show_progress_bar
        with (
            turn(self.folder, timeout=timeout, on_wait=lambda: None),
            Progress("reindexing", total=len(self), enabled=shown) as bar,
        ):
            advance = on_progress or bar.advance
            target = Target(loaded, kind, header)
            reindex(parts.storage, target, encoding=encoding, timeout=timeout, advance=advance)
        with self._following:
            if self._parts is parts:  # else another thread has followed already
                self._parts = open_parts(self.folder, loaded, self._options)
                parts.storage.close()

    def backup(self, folder: str | Path) -> None:
        """Copy the collection, in one state, into a new folder, while it is in use.

        Raises:
            StoreError: the folder exists and is not empty.
        """
        self._storage.check_open()
        backup.copy(self._storage, Path(folder).expanduser(), [HEADER_NAME, MODEL])

    def verify(self) -> None:
        """Check every byte of model, index and the record of files against its checksum; raises what is wrong."""
        from latelite.sources.catalogue import SourceCatalogue

        Header.verify(self.folder)
        Bundle(current(self.folder)[1]).verify()
        verify(self._storage)
        with self._storage.reading() as connection:
            if connection is not None:
                SourceCatalogue(connection).verify()

    # --------------------------------------------------------------------------------------------------------- reading

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
        (hits,) = self._search([query], k, where, mode, explain, min_score, group_by)
        return hits

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
        return self._search(queries, k, where, mode, explain, min_score, group_by)

    def _search(
        self,
        queries: Sequence[str],
        k: int,
        where: Where | None,
        mode: Mode,
        explain: bool,
        min_score: float | None,
        group_by: str | None,
    ) -> list[list[Hit]]:
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
            numbers = _numbers(parts, view, where)[offset : None if limit is None else offset + limit]
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

    def add_vectors(
        self,
        ids: Sequence[int | str],
        texts: Sequence[str],
        vectors: Sequence[Floats],
        metadata: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """As `add`, with token vectors of this collection's model that were computed elsewhere.

        Args:
            vectors: (tokens, dim) per document. Nothing can tell whether they belong to the texts.

        Raises:
            InvalidVectorsError, IndexMismatchError: an array is not (tokens, dim) of finite numbers.
            as `add`, besides.
        """
        given = [{}] * len(ids) if metadata is None else list(metadata)
        if not len(ids) == len(texts) == len(given) == len(vectors):
            raise ValueError("ids, texts, vectors and metadata must have the same length.")
        arrays = Documents(checked_ids(ids), vectors)
        arrays.check_dim(self.model.dim)
        arrays.check_finite(GROUP_TOKENS // 4)
        group = EncodedTexts()
        checked = [Text.of(*each) for each in zip(ids, texts, given, strict=True)]
        for position, text in enumerate(checked):
            append(self.model, text, arrays.vectors(position), group)
            if len(group.texts) >= GROUP_DOCUMENTS or int(group.lengths.sum()) >= GROUP_TOKENS:
                self._put(group, 0)
                group = EncodedTexts()
        if group.texts:
            self._put(group, 0)

    def add_encoded(self, documents: EncodedTexts) -> None:
        """As `add`, of documents that `latelite.texts.encode` prepared, perhaps in another process.

        All of them or none are written.

        Args:
            documents: encoded by this collection's model, with its ``pool_factor``; this is not checked.
        """
        self._storage.check_open()
        if documents.texts:
            self._put(documents, 0)

    def count(self, where: Where | None = None) -> int:
        """How many documents there are, or match a filter."""
        return self._read(lambda parts, view: len(_numbers(parts, view, where)))

    def index_metadata(self, field: str) -> None:
        """Give a field of the metadata an index, which makes filters fast that few documents match.

        Raises:
            ValueError: the field's name cannot be part of an index.
        """
        index_expression(field)
        with self._writer.transaction() as transaction:
            index_field(transaction.connection, field)

    def _read(self, question: Callable[[Parts, Snapshot], Answer]) -> Answer:
        return self._now(lambda parts: parts.storage.read(lambda view: question(parts, view)))

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

    def close(self) -> None:
        """Let go of the mapped files. The collection is durable without it."""
        self._parts.searcher.close()
        self._storage.close()

    def __enter__(self) -> Collection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _create(
    folder: Path,
    model: str | Path | ColBERT | None,
    precision: Precision | None,
    index: str,
    pool_factor: int,
    timeout: float,
) -> None:
    loaded = model if isinstance(model, ColBERT) else None
    if loaded is None:
        loaded = ColBERT(default_model.resolve(model, precision=precision), precision=precision)  # type: ignore[arg-type]
    manifest = loaded.manifest
    header = Header(manifest.checkpoint["id"], manifest.fingerprint, index, pool_factor)
    create(folder, loaded.bundle, loaded.precision, header, timeout=timeout)


def _check_pool_factor(pool_factor: int | None) -> None:
    if pool_factor is not None and operator.index(pool_factor) < 1:
        raise ValueError(f"pool_factor must be at least 1, not {pool_factor}.")


def _numbers(parts: Parts, view: Snapshot, where: Where | None) -> Ints:
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


def _as_text(document: Document | Mapping[str, Any]) -> Text:
    if isinstance(document, Document):
        return Text.of(document.id, document.text, document.metadata)
    if not isinstance(document, Mapping):
        raise TypeError(f"a document must be a Document or a mapping, not {type(document).__name__}.")
    missing = [name for name in ("id", "text") if name not in document]
    if missing:
        raise ValueError(f"a document has no {missing[0]!r}: {sorted(map(str, document))}.")
    return Text.of(document["id"], document["text"], document.get("metadata", {}))


def _document(row: Row) -> Document:
    return Document(row.id, row.text, row.metadata, row.truncated)
