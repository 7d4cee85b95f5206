"""A collection while it is open: made where there is none, put together from its folder, and followed."""

from __future__ import annotations

import contextlib
import operator
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from latelite import default_model, indexes
from latelite.collection_folder import HEADER_NAME, Header, create, current, finish_reindexing
from latelite.errors import (
    IndexLockedError,
    IndexMismatchError,
    IndexNotFoundError,
    IndexVersionError,
    IndexWriteError,
    StoreError,
)
from latelite.indexes import IndexKind, make_kind
from latelite.manifest import Precision
from latelite.models import ColBERT
from latelite.search import Searcher
from latelite.storage import folders
from latelite.storage.catalogue import CATALOGUE
from latelite.storage.snapshot import Snapshot
from latelite.storage.storage import Storage
from latelite.storage.writer import Writer

Answer = TypeVar("Answer")

_ATTEMPTS = 10


@dataclass(frozen=True)
class Options:
    """What the caller asked for, and asks for again when the collection is opened again."""

    precision: Precision | None
    threads: int | None
    index_settings: Mapping[str, Any]
    read_only: bool
    timeout: float


@dataclass(frozen=True, eq=False)
class Parts:
    """Header, model and index that belong together. They are replaced together, when the collection was reindexed."""

    header: Header
    model: ColBERT
    kind: IndexKind
    storage: Storage
    writer: Writer
    searcher: Searcher


def open_parts(folder: Path, model: str | Path | ColBERT | None, options: Options) -> Parts:
    """Open what a folder holds.

    Args:
        model: must be the collection's; None for its own copy.

    Raises:
        as `latelite.Collection`.
    """
    for _ in range(_ATTEMPTS):
        before, _ = current(folder)
        try:
            return _opened(folder, model, options)
        except (FileNotFoundError, IndexMismatchError, IndexVersionError):
            if current(folder)[0] == before:  # else another process has finished a reindexing since
                raise
    raise IndexLockedError(f"{folder} changes faster than it can be opened; try again.")


def _opened(folder: Path, model: str | Path | ColBERT | None, options: Options) -> Parts:
    if not options.read_only:
        with contextlib.suppress(IndexLockedError, IndexWriteError):  # it can be read as it is
            finish_reindexing(folder, timeout=options.timeout)
    header, model_folder = current(folder)
    if header.index not in indexes.KINDS:
        raise IndexVersionError(
            f"{folder / HEADER_NAME} names an index that this latelite does not know: {header.index!r}."
        )
    folders.refuse_link(model_folder)
    header.check_manifest(model_folder.parent)
    if not (folder / CATALOGUE).exists():  # it is made before the header
        raise IndexNotFoundError(f"{folder / CATALOGUE} is missing from the collection.")
    model = load_model(model_folder if model is None else model, options)
    if model.manifest.fingerprint != header.fingerprint:
        raise IndexMismatchError(
            f"{folder} was made with the model {header.model!r}, not with {model.manifest.checkpoint['id']!r}; open it "
            "without naming a model, or give it the other one with reindex."
        )
    kind = make_kind(header.index, options.index_settings)
    storage = Storage(
        folder,
        kind,
        dim=model.dim,
        fingerprint=header.fingerprint,
        lexical=True,
        timeout=options.timeout,
        read_only=options.read_only,
    )
    storage.refresh()
    return Parts(header, model, kind, storage, Writer(storage), Searcher(storage, kind, model))


class OpenCollection:
    """The parts of a collection, opened again when it was reindexed. See `latelite.Collection` for the arguments."""

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
        check_pool_factor(pool_factor)
        self._options = Options(precision, threads, dict(index_settings or {}), read_only, timeout)
        if not (self.folder / HEADER_NAME).exists():
            if read_only:
                raise IndexNotFoundError(f"{self.folder} holds no collection, and read_only=True creates none.")
            made_with = load_model(model, self._options)
            new = header_of(made_with, index or "IVF", pool_factor or 1)
            create(self.folder, made_with.bundle, made_with.precision, new, timeout=timeout)
            model = model if isinstance(model, ColBERT) else None  # its own copy, so that what was written is tried
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

    def _read(self, question: Callable[[Parts, Snapshot], Answer]) -> Answer:
        return self._now(lambda parts: parts.storage.read(lambda view: question(parts, view)))

    def close(self) -> None:
        """Let go of the mapped files. The collection is durable without it."""
        self._parts.searcher.close()
        self._storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load_model(model: str | Path | ColBERT | None, options: Options) -> ColBERT:
    """A model that the caller named, or the installed one."""
    if isinstance(model, ColBERT):
        return model
    folder = default_model.resolve(model, precision=options.precision)
    return ColBERT(folder, precision=options.precision, threads=options.threads)


def header_of(model: ColBERT, index: str, pool_factor: int) -> Header:
    """The header of a collection that is made with a model."""
    return Header(model.manifest.checkpoint["id"], model.manifest.fingerprint, index, pool_factor)


def check_pool_factor(pool_factor: int | None) -> None:
    """Raise ValueError for a pooling that is none."""
    if pool_factor is not None and operator.index(pool_factor) < 1:
        raise ValueError(f"pool_factor must be at least 1, not {pool_factor}.")
