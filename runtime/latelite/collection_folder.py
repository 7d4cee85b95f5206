"""The folder of a collection: its header, and the model that it was made with.

collection.json     what the collection is; written last, so a folder without it is no collection yet
model/              a bundle of its own: the manifest, the tokenizer and the graph that is in use
documents.sqlite    see `latelite.storage`
segments/
reindexed/          while the collection is indexed anew, see `latelite.reindexing`
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from latelite.bundle import Bundle
from latelite.errors import IndexCorruptError, IndexVersionError, StoreError
from latelite.files import atomic_write, fsync_folder, sha256
from latelite.manifest import MANIFEST_NAME, Precision
from latelite.storage.catalogue import CATALOGUE, JOURNAL, Catalogue
from latelite.storage.folders import LITTER, copy_file, delete_folder, make_folder, refuse_link, refuse_special
from latelite.storage.segments import SEGMENTS

FORMAT = "latelite-collection"
FORMAT_VERSION = 3
HEADER_NAME = "collection.json"
MODEL = "model"
REINDEXED = "reindexed"


@dataclass(frozen=True)
class Header:
    """The content of ``collection.json``."""

    model: str
    """Id of the checkpoint, for messages."""
    fingerprint: str
    """Of the model; other models' vectors do not belong into the collection."""
    index: str
    """Name of the index kind, see `latelite.indexes.KINDS`."""
    pool_factor: int
    manifest: str | None = None
    """SHA-256 of the model's manifest, which has the checksums of its other files."""

    @classmethod
    def read(cls, folder: Path) -> Header:
        """Read ``folder/collection.json``.

        Raises:
            FileNotFoundError: there is none.
            IndexVersionError: another format.
            IndexCorruptError: it is damaged.
        """
        path = folder / HEADER_NAME
        refuse_special(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise IndexCorruptError(f"{path} is not the header of a {FORMAT}.")
            version = content["format_version"]
            if version != FORMAT_VERSION:
                raise IndexVersionError(
                    f"{path} has format version {version!r}, this latelite reads {FORMAT_VERSION}; make the collection "
                    "anew: index its texts again into a new folder."
                )
            model, fingerprint, index = content["model"], content["fingerprint"], content["index"]
            header = cls(model, fingerprint, index, content["pool_factor"], content.get("manifest"))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            if isinstance(error, StoreError):
                raise
            raise IndexCorruptError(f"{path} is damaged: {type(error).__name__}: {error}.") from error
        wanted = (str, str, str, int, str | None)
        if not all(isinstance(each, kind) for each, kind in zip(asdict(header).values(), wanted, strict=True)):
            raise IndexCorruptError(f"{path} is damaged: a value is of a wrong type.")
        if header.pool_factor < 1:
            raise IndexCorruptError(f"{path} is damaged: a pool_factor of {header.pool_factor} is none.")
        return header

    def check_manifest(self, folder: Path) -> None:
        """Compare the manifest of the model in the collection with its checksum; raises IndexCorruptError."""
        path = folder / MODEL / MANIFEST_NAME
        if self.manifest is not None and path.is_file() and sha256(path) != self.manifest:
            raise IndexCorruptError(f"{path} was altered: it does not have its recorded checksum.")

    @classmethod
    def verify(cls, folder: Path) -> None:
        """Compare the header with its checksum; raises IndexCorruptError."""
        cls.read(folder)
        path = folder / HEADER_NAME
        text = path.read_bytes()
        content = json.loads(text)
        claimed = content.pop("checksum", None)
        if claimed is not None and (claimed != _checksum(content) or text != _written(content)):
            raise IndexCorruptError(f"{path} was altered: it does not have its checksum.")

    def write(self, folder: Path) -> None:
        """Write ``folder/collection.json``, durably, replacing one that is there."""
        content: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}
        with atomic_write(folder / HEADER_NAME) as file:
            file.write(_written(content))


def _written(content: dict[str, Any]) -> bytes:
    return json.dumps({**content, "checksum": _checksum(content)}, indent=2).encode() + b"\n"


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def create(folder: Path, bundle: Bundle, precision: Precision, header: Header, *, timeout: float) -> None:
    """Make an empty collection, unless another process makes it at the same time: then use that.

    Raises:
        StoreError: the folder holds something else.
        IndexLockedError: another process takes longer than ``timeout`` seconds to make it.
        IndexWriteError: disk full or no permission.
    """
    _check_free(folder)
    catalogue = Catalogue(folder, timeout=timeout, read_only=False)
    with catalogue.translated("write"):
        make_folder(folder)
        refuse_link(folder / CATALOGUE)
    try:
        with catalogue.writing():  # the lock that creators share
            if not (folder / HEADER_NAME).exists():
                _remove_interrupted(folder)
                _copy_model(bundle, precision, folder / MODEL)
                replace(header, manifest=sha256(folder / MODEL / MANIFEST_NAME)).write(folder)
                fsync_folder(folder.parent)
    finally:
        catalogue.close()


def current(folder: Path) -> tuple[Header, Path]:
    """The header of a collection, and the folder of its model.

    Both lie in ``reindexed`` from the commit of a reindexing until `finish_reindexing`.

    Raises:
        as `Header.read`.
    """
    aside = folder / REINDEXED
    if _is_committed(aside):
        refuse_link(aside)
        with contextlib.suppress(FileNotFoundError):  # finished since
            return Header.read(aside), (aside if (aside / MODEL).exists() else folder) / MODEL
    return Header.read(folder), folder / MODEL


def finish_reindexing(folder: Path, *, timeout: float) -> None:
    """Put header and model of a reindexing that was committed into their places, however far that had come.

    Raises:
        IndexLockedError: another process writes for longer than ``timeout`` seconds.
        IndexWriteError: no permission.
    """
    aside = folder / REINDEXED
    if not _is_committed(aside):
        return
    refuse_link(aside)
    catalogue = Catalogue(folder, timeout=timeout, read_only=False)
    try:
        with catalogue.writing():
            if not _is_committed(aside):
                return
            if (aside / MODEL).exists():
                refuse_link(folder / MODEL)
                delete_folder(folder / MODEL)
                (aside / MODEL).rename(folder / MODEL)
                fsync_folder(folder)
            (aside / HEADER_NAME).replace(folder / HEADER_NAME)
            fsync_folder(folder)
            delete_folder(aside)
    finally:
        catalogue.close()


def _is_committed(aside: Path) -> bool:
    """Whether what was indexed anew is the collection: its catalogue has been moved to its place."""
    return (aside / HEADER_NAME).exists() and not (aside / CATALOGUE).exists()


def _check_free(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file; a collection needs a folder of its own.")
    ours = {MODEL, SEGMENTS, CATALOGUE, JOURNAL, HEADER_NAME, REINDEXED} | LITTER
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if HEADER_NAME not in names and (foreign := sorted(n for n in names - ours if not _is_temporary(n))):
        raise StoreError(f"{folder} is not empty and not a collection (it holds {foreign[0]}); choose another folder.")


def _is_temporary(name: str) -> bool:
    """Whether an interrupted creation, or a probe for locks, left the file behind."""
    return (name.startswith(f".{HEADER_NAME}.") and name.endswith(".tmp")) or name.startswith(".lock-probe-")


def _remove_interrupted(folder: Path) -> None:
    for path in folder.iterdir():
        if _is_temporary(path.name) and path.is_file():
            path.unlink()


def _copy_model(bundle: Bundle, precision: Precision, target: Path) -> None:
    """Put the bundle into the collection, with one graph, as files of its own."""
    refuse_link(target)
    manifest = bundle.manifest.only(precision)
    make_folder(target)
    for name in manifest.files:
        copy_file(bundle.checked(name), target / name)
    if bundle.licence is not None:
        copy_file(bundle.licence, target / bundle.licence.name)
    with atomic_write(target / MANIFEST_NAME) as file:
        file.write(manifest.to_json().encode())
    fsync_folder(target)
