"""Model, index, texts and metadata in one folder: the part that an app talks to."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from latelite import default_model, indexes
from latelite.bundle import Bundle
from latelite.errors import IndexCorruptError, IndexMismatchError, IndexVersionError, StoreError
from latelite.files import atomic_write, fsync_folder
from latelite.indexes.identifiers import checked_ids
from latelite.indexes.index import TokenIndex
from latelite.manifest import MANIFEST_NAME, Precision
from latelite.models import ColBERT
from latelite.progress import Progress

FORMAT = "latelite-collection"
FORMAT_VERSION = 1
HEADER_NAME = "collection.json"
_MODEL = "model"
_INDEX = "index"
PUBLISH_EVERY = 512  # documents between two durable generations: bounds memory, and what a crash can cost
_ENCODE_EVERY = 64  # documents between two steps of the progress bar

Where = Mapping[str, Any] | Callable[[Mapping[str, Any]], bool]
"""A condition on metadata: key -> required value, or a function that accepts or refuses a document's metadata."""


@dataclass(frozen=True)
class Hit:
    """One search result."""

    id: int | str
    score: float
    """MaxSim: the sum over query tokens of the best cosine among the document's tokens."""
    text: str
    metadata: Mapping[str, Any]


class Collection:
    """A searchable folder.

    The bundle is linked (or, across file systems, copied) into the folder, so that the folder can be moved to another
    machine and opened there without naming a model.

    Args:
        folder: opened when it holds a collection, created when it does not exist.
        model: bundle folder, name of an installed model, or loaded `ColBERT`. None creates a collection with the
            installed model (see `latelite.default_model`); when opening a collection it must be the model that the
            collection was made with, and may be left out.
        precision: which graph of the bundle encodes, None for the one that suits this CPU; int8 and fp32 may share a
            collection.
        threads: CPU threads for encoding; default: all usable.
        index: name of the index class for a new collection, see `latelite.indexes`. None takes `indexes.suited`'s
            answer for a size that is not known: ``"IVF"``, which scans everything while that is fast, and begins to
            look at likely documents only as it grows. ``"Exact"`` always scans everything.
        pool_factor: token pooling of documents in a new collection; 2 halves its size.

    Raises:
        StoreError: the folder holds something else, is damaged, or was made with another model.
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
        pool_factor: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        if not (self.folder / HEADER_NAME).exists():
            model = model if isinstance(model, ColBERT) else default_model.resolve(model, precision=precision)
            _create(self.folder, model, index=index or indexes.suited(None).__name__, pool_factor=pool_factor or 1)
        header = _read_header(self.folder)
        for name, asked in (("index", index), ("pool_factor", pool_factor)):
            if asked is not None and asked != header[name]:
                raise IndexMismatchError(f"{self.folder} was created with {name}={header[name]!r}, not {asked!r}.")
        self.pool_factor: int = header["pool_factor"]
        if isinstance(model, ColBERT):
            self.model = model
        else:
            self.model = ColBERT(model or self.folder / _MODEL, precision=precision, threads=threads)
        if self.model.manifest.fingerprint != header["fingerprint"]:
            raise IndexMismatchError(
                f"{self.folder} was made with the model {header['model']!r}, not with "
                f"{self.model.manifest.checkpoint['id']!r}; open it without naming a model, or index the texts again."
            )
        self.index: TokenIndex = indexes.KINDS[header["index"]](
            index_folder=self.folder,
            index_name=_INDEX,
            embedding_size=self.model.dim,
            fingerprint=header["fingerprint"],
        )

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

        Documents are published in groups of 512, each group entirely or not at all. When this returns, all of them
        survive a power cut.

        Args:
            ids: unique strings or integers.
            texts: one per id; what exceeds the model's document length is cut when encoding, but stored whole.
            metadata: one JSON-serialisable mapping per id.
            show_progress_bar: None shows it when standard error is a terminal.
            on_progress: called with the number of documents encoded since its last call, instead of a bar.

        Raises:
            ValueError: lengths differ, or metadata cannot be written as JSON.
            DuplicateIdError: an id occurs twice.
            IndexLockedError: another process is writing.
        """
        if len(ids) != len(texts) or (metadata is not None and len(metadata) != len(ids)):
            raise ValueError("ids, texts and metadata must have the same length.")
        ids = checked_ids(ids)
        given = metadata if metadata is not None else [{}] * len(ids)
        notes = [_json_object(id_, fields) for id_, fields in zip(ids, given, strict=True)]
        shown = False if on_progress is not None else show_progress_bar
        with Progress("adding documents", total=len(ids), enabled=shown) as bar:
            for start in range(0, len(ids), PUBLISH_EVERY):
                group = slice(start, start + PUBLISH_EVERY)
                self.index.update_documents(
                    documents_ids=ids[group],
                    documents_embeddings=self._encode(texts[group], on_progress or bar.advance),
                    payloads=[{"text": t, "metadata": m} for t, m in zip(texts[group], notes[group], strict=True)],
                )

    def search(self, query: str, k: int = 5, *, where: Where | None = None) -> list[Hit]:
        """The best ``k`` documents for a query, best first.

        Args:
            query: free text in any language of the model.
            k: number of hits; fewer come back only when fewer documents match.
            where: restricts the candidates before they are scored: ``{"lang": "de"}`` or a function of the metadata.

        Raises:
            ValueError: k is below 1.
        """
        accepts = None if where is None else _accepting(where)
        found = self.index.search(self.model.encode_query(query), k, where=accepts)
        return [_hit(id_, score, payload) for id_, score, payload in found]

    def get(self, id: int | str) -> Hit:
        """The stored document with this id, with score 0. Raises UnknownIdError."""
        return _hit(id, 0.0, self.index.payload(id))

    def remove(self, ids: Sequence[int | str]) -> None:
        """Remove documents. Raises UnknownIdError, and removes nothing, when one of them is not there."""
        self.index.remove_documents(ids)

    def compact(self) -> None:
        """Rewrite the index without removed documents."""
        self.index.compact()

    def verify(self) -> None:
        """Check every byte of model and index against its checksum; raises what is wrong."""
        self.model.bundle.verify()
        self.index.verify()

    @property
    def ids(self) -> list[int | str]:
        """Ids of all documents in the order in which they were added."""
        return self.index.ids

    def __iter__(self) -> Iterator[Hit]:
        """All stored documents in the order of `ids`, with score 0."""
        return (_hit(id_, 0.0, payload) for id_, payload in self.index.payloads())

    def __len__(self) -> int:
        return len(self.index)

    def __contains__(self, id: object) -> bool:
        return id in self.index

    def close(self) -> None:
        """Let go of the mapped files. The collection is durable without it."""
        self.index.close()

    def __enter__(self) -> Collection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _encode(self, texts: Sequence[str], advance: Callable[[int], object]) -> list[Any]:
        vectors: list[Any] = []
        for start in range(0, len(texts), _ENCODE_EVERY):
            batch = texts[start : start + _ENCODE_EVERY]
            vectors += self.model.encode_document(batch, show_progress_bar=False, pool_factor=self.pool_factor)
            advance(len(batch))
        return vectors


def _hit(id: int | str, score: float, payload: Mapping[str, Any] | None) -> Hit:
    if payload is None:
        raise IndexCorruptError(f"document {id!r} has no text; it was added to the index behind the collection's back.")
    return Hit(id=id, score=score, text=payload["text"], metadata=payload["metadata"])


def _accepting(where: Where) -> Callable[[Mapping[str, Any] | None], bool]:
    """The condition on metadata as a condition on payloads."""
    if callable(where):
        return lambda payload: payload is not None and where(payload["metadata"])
    wanted = dict(where)

    def has_all(payload: Mapping[str, Any] | None) -> bool:
        metadata = {} if payload is None else payload["metadata"]
        return all(key in metadata and metadata[key] == value for key, value in wanted.items())

    return has_all


def _create(folder: Path, model: Path | ColBERT, *, index: str, pool_factor: int) -> None:
    """Make an empty collection; the header is written last, so a folder without one is no collection yet."""
    if index not in indexes.KINDS:
        raise ValueError(f"index must be one of {', '.join(indexes.KINDS)}, not {index!r}.")
    if pool_factor < 1:
        raise ValueError(f"pool_factor must be at least 1, not {pool_factor}.")
    strangers = sorted(p.name for p in folder.iterdir() if p.name != _MODEL) if folder.exists() else []
    if strangers:
        raise StoreError(
            f"{folder} is not empty and not a collection (it holds {strangers[0]}); choose another folder."
        )
    bundle = model.bundle if isinstance(model, ColBERT) else Bundle(model)
    folder.mkdir(parents=True, exist_ok=True)
    _link_bundle(bundle, folder / _MODEL)
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model": bundle.manifest.checkpoint["id"],
        "fingerprint": bundle.manifest.fingerprint,
        "index": index,
        "pool_factor": pool_factor,
    }
    with atomic_write(folder / HEADER_NAME) as file:
        file.write(json.dumps(header, indent=2).encode() + b"\n")


def _link_bundle(bundle: Bundle, target: Path) -> None:
    """Put the bundle's files into the collection: as hard links where possible, which cost no space."""
    target.mkdir(exist_ok=True)
    for source in [bundle.folder / MANIFEST_NAME, *bundle.verify()]:
        destination = target / source.name
        destination.unlink(missing_ok=True)  # left by an interrupted creation
        try:
            os.link(source, destination)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, destination)
    fsync_folder(target)


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER_NAME
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        if header["format"] != FORMAT:
            raise IndexCorruptError(f"{path} is not the header of a {FORMAT}.")
        if header["format_version"] != FORMAT_VERSION:
            raise IndexVersionError(
                f"{path} has format version {header['format_version']!r}, this latelite reads {FORMAT_VERSION}."
            )
        if header["index"] not in indexes.KINDS:
            raise IndexVersionError(f"{path} names an index that this latelite does not know: {header['index']!r}.")
        return {name: header[name] for name in ("model", "fingerprint", "index", "pool_factor")}
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, StoreError):
            raise
        raise IndexCorruptError(f"{path} is damaged: {type(error).__name__}: {error}.") from error


def _json_object(id: int | str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    try:
        plain = json.loads(json.dumps(dict(metadata), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the metadata of document {id!r} cannot be written as JSON: {error}.") from error
    return dict(plain)
