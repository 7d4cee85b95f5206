"""Model, index, texts and metadata in one folder: the part that an app talks to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latelite.arrays import Floats
from latelite.bundle import Bundle
from latelite.collection_folder import HEADER_NAME, MODEL, Header, current
from latelite.collection_reading import CollectionReader, numbers_of
from latelite.filter_sql import index_expression
from latelite.indexes.documents import Documents
from latelite.models import ColBERT
from latelite.opening import open_parts
from latelite.progress import Progress
from latelite.results import Document
from latelite.search import Where
from latelite.storage import backup
from latelite.storage.identifiers import checked_ids
from latelite.storage.metadata import index_field
from latelite.storage.verification import verify
from latelite.texts import (
    GROUP_TOKENS,
    EncodedTexts,
    Text,
    checked_texts,
    encoded_groups,
    known_groups,
    metadata_json,
    text_of,
)

if TYPE_CHECKING:
    from latelite.sources.report import Report


class Collection(CollectionReader):
    """A searchable folder.

    The model is copied into the folder (sharing blocks where the file system can), with the one graph that is used, so
    that the folder can be moved to another machine and opened there without naming a model. A new folder is its
    owner's alone.

    One object may be used from several threads, and one folder by several processes: readers never wait for a writer
    (but for the moment of a commit, when texts are read), writers wait for each other for up to ``timeout`` seconds. A
    search sees the last state that was committed when it began. That holds for the processes of one machine. Between
    machines that share a network drive it depends on the drive's locks, and a reader of one is hit by an error of the
    system when a writer of another deletes a file that it has open: there, read a backup or a copy of your own.

    A forked process may go on with the object; each process opens the database for itself. Calls wait
    for their answer; asynchronous code awaits ``asyncio.to_thread(notes.search, query)``.

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
        checked = checked_texts(ids, texts, metadata)
        with Progress("adding documents", total=len(checked), enabled=on_progress is None and show_progress_bar) as bar:
            self._write(self._encoded(checked, on_progress or bar.advance))

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

        self._write(self._encoded(map(text_of, documents), counted))
        return count

    def _encoded(self, texts: Iterable[Text], advance: Callable[[int], object]) -> Iterator[EncodedTexts]:
        self._storage.check_open()
        self._follow(self._parts)
        # Whether they can be written is found out before they are encoded in vain.
        before = self._writer.check_possible
        return encoded_groups(self.model, texts, pool_factor=self.pool_factor, advance=advance, before=before)

    def _write(self, groups: Iterable[EncodedTexts]) -> None:
        """Write each group in a transaction of its own, and merge in proportion."""
        tokens = 0
        for group in groups:
            if len(set(group.ids)) != len(group.ids):
                checked_ids(group.ids)
            with self._writer.transaction() as transaction:
                transaction.put(group, dim=self.model.dim, replacing=True)
            tokens += group.tokens
            self._writer.tidy(tokens)
            del group  # before the next one is encoded

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
                numbers = set(numbers_of(self._parts, transaction.base, where).tolist())
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

        self._storage.check_open()
        self._follow(self._parts)
        parts = self._parts
        target = Target.of(parts, self._options, index, index_settings, pool_factor, model)
        reindex(parts, target, self._options.timeout, show_progress_bar, on_progress)
        with self._following:
            if self._parts is parts:  # else another thread has followed already
                self._parts = open_parts(self.folder, target.model, self._options)
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
        checked = checked_texts(ids, texts, metadata)
        arrays = Documents([text.id for text in checked], vectors)
        arrays.check_dim(self.model.dim)
        arrays.check_finite(GROUP_TOKENS // 4)
        self._write(known_groups(self.model, checked, map(arrays.vectors, range(len(checked)))))

    def add_encoded(self, documents: EncodedTexts) -> None:
        """As `add`, all or none, of documents that `latelite.texts.encode` prepared, perhaps in another process.

        Args:
            documents: encoded by this collection's model, with its ``pool_factor``; this is not checked.
        """
        self._storage.check_open()
        self._write([documents] if documents.texts else [])

    def index_metadata(self, field: str) -> None:
        """Give a field of the metadata an index, which makes filters fast that few documents match.

        Raises:
            ValueError: the field's name cannot be part of an index.
        """
        index_expression(field)
        with self._writer.transaction() as transaction:
            index_field(transaction.connection, field)
