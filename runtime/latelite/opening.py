"""What a collection consists of while it is open, put together from its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latelite import default_model, indexes
from latelite.collection_folder import HEADER_NAME, Header, current, finish_reindexing
from latelite.errors import IndexLockedError, IndexMismatchError, IndexNotFoundError, IndexVersionError, IndexWriteError
from latelite.indexes import IndexKind, make_kind
from latelite.manifest import Precision
from latelite.models import ColBERT
from latelite.search import Searcher
from latelite.storage import folders
from latelite.storage.catalogue import CATALOGUE
from latelite.storage.storage import Storage
from latelite.storage.writer import Writer

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
    if not isinstance(model, ColBERT):
        bundle = model_folder if model is None else default_model.resolve(model, precision=options.precision)
        model = ColBERT(bundle, precision=options.precision, threads=options.threads)
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
        vocabulary_size=model.analyzer.vocabulary_size,
        timeout=options.timeout,
        read_only=options.read_only,
    )
    storage.refresh()
    return Parts(header, model, kind, storage, Writer(storage), Searcher(storage, kind, model))
