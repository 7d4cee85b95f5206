"""The folder of an index: who may write, what is published, and what may be deleted.

    <index_folder>/<index_name>/
        CURRENT.json              the one pointer
        generation-00000007.json  what the current state consists of
        segments/<name>/          immutable, see `latelite.indexes.segment`
        shared/                   files that several segments use
        lock                      held by the writer

A writer puts everything new beside what is there, fsyncs it, and replaces the pointer last. A crash before that leaves
files that nothing refers to, which the next writer deletes; readers never look at them. After publishing, files that
the new generation does not name are deleted at once: a reader that has them open keeps them (POSIX), one that is just
opening them finds them gone and reads the pointer again.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from latelite.errors import IndexWriteError, StoreError
from latelite.files import fsync_folder
from latelite.indexes.generation import (
    POINTER_NAME,
    Generation,
    generation_name,
    read_generation,
    read_pointer,
    write_generation,
)
from latelite.indexes.lock import writer_lock

logger = logging.getLogger(__name__)

SEGMENTS = "segments"
SHARED = "shared"
LOCK = "lock"

Signature = tuple[int, int, int]


class Store:
    """Reads and replaces the generations of one index folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def signature(self) -> Signature | None:
        """Changes whenever a generation is published; None while there is none. Costs one ``stat``."""
        try:
            status = (self.folder / POINTER_NAME).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def check_usable(self) -> None:
        """Raise StoreError when the folder holds something else, which an index must neither mix with nor delete."""
        if not self.folder.exists() or (self.folder / POINTER_NAME).exists():
            return
        if not self.folder.is_dir():
            raise StoreError(f"{self.folder} is a file; an index needs a folder of its own.")
        foreign = [path.name for path in self.folder.iterdir() if not _is_ours(path)]
        if foreign:
            raise StoreError(
                f"{self.folder} is not a latelite index (it holds {sorted(foreign)[0]!r}); choose another index_name "
                "or an empty folder."
            )

    def current(self) -> Generation | None:
        """The published generation, None when nothing was published yet. Raises as `read_generation`."""
        pointer = read_pointer(self.folder)
        return None if pointer is None else read_generation(self.folder, pointer)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writer lock, making the folder when needed; turns OSError into IndexWriteError.

        Raises:
            IndexLockedError: another writer is at work.
            IndexWriteError: no permission, disk full; what was published is unchanged.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with writer_lock(self.folder / LOCK):
                yield
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise IndexWriteError(
                f"Could not write the index {self.folder}: {error}. What was published before is unchanged."
            ) from error

    def new_segment(self, number: int) -> Path:
        """A folder name that no reader has ever seen."""
        return self.folder / SEGMENTS / f"{number:08d}-{secrets.token_hex(3)}"

    def next_number(self) -> int:
        """One more than any generation that was ever written here, published or not."""
        numbers = [int(path.stem.removeprefix("generation-")) for path in self.folder.glob("generation-*.json")]
        return max(numbers, default=0) + 1

    def publish(self, generation: Generation) -> Signature | None:
        """Make ``generation`` the current one and delete what it does not need; returns the new signature."""
        for folder in (SEGMENTS, SHARED):
            if (self.folder / folder).is_dir():
                fsync_folder(self.folder / folder)
        write_generation(self.folder, generation)
        signature = self.signature()
        self.clean(generation)
        return signature

    def clean(self, generation: Generation) -> None:
        """Delete files of former generations and of writers that were killed. Call with the lock held.

        What cannot be deleted now (Windows keeps files that a reader has open) is left for the next writer.
        """
        keep = {generation_name(generation.number), POINTER_NAME, LOCK, SEGMENTS, SHARED}
        for path in self.folder.iterdir():
            if path.name not in keep and _is_ours(path):
                _delete(path)
        segments = {segment.name: segment for segment in generation.segments}
        for path in _children(self.folder / SEGMENTS):
            segment = segments.get(path.name)
            if segment is None:
                _delete(path)
                continue
            needed = set(segment.files) | ({segment.removed.file} if segment.removed else set())
            for file in _children(path):
                if file.name not in needed:
                    _delete(file)
        for path in _children(self.folder / SHARED):
            if f"{SHARED}/{path.name}" not in generation.files:
                _delete(path)

    def discard_unpublished(self) -> None:
        """Delete what a failed write left behind. Call with the lock held."""
        try:
            generation = self.current()
        except (StoreError, OSError):
            return  # a damaged index is not tidied: what is left of it may be wanted
        if generation is not None:
            self.clean(generation)
            return
        for path in _children(self.folder / SEGMENTS) + _children(self.folder / SHARED):
            _delete(path)


def _is_ours(path: Path) -> bool:
    """Whether an index made this entry of its folder."""
    name = path.name
    return (
        name in (POINTER_NAME, LOCK, SEGMENTS, SHARED)
        or (name.startswith("generation-") and name.endswith(".json"))
        or (name.startswith(f".{POINTER_NAME}.") and name.endswith(".tmp"))
        or (name.startswith(".generation-") and name.endswith(".tmp"))
    )


def _children(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _delete(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        logger.debug("left %s for the next writer: %s", path, error)
