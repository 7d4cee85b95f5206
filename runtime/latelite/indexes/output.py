"""Files of an index on their way out: written in a stream, hashed as they go, on the disk before they are named."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from tokenize import TokenError
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from latelite.errors import IndexCorruptError, IndexNotFoundError
from latelite.files import sha256
from latelite.manifest import FileEntry


class OutputFile:
    """A new file: counts and hashes what is written, and is fsynced when its block ends without an error."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._digest = hashlib.sha256()
        self._bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append ``data``; raises OSError when the disk is full."""
        self._file.write(data)
        self._digest.update(data)
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        self._bytes += size
        return size

    @property
    def entry(self) -> FileEntry:
        """Size and checksum so far."""
        return FileEntry(bytes=self._bytes, sha256=self._digest.hexdigest())

    def __enter__(self) -> OutputFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()


def write_array(path: Path, chunks: Iterable[NDArray[Any]], *, shape: tuple[int, ...], dtype: DTypeLike) -> FileEntry:
    """Write a ``.npy`` file of a known shape from ``chunks`` along its first axis, one chunk in memory at a time."""
    with OutputFile(path) as file:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        rows = 0
        for chunk in chunks:
            rows += len(chunk)
            file.write(np.ascontiguousarray(chunk, dtype).data.cast("B"))
        if rows != shape[0]:
            raise ValueError(f"{path.name}: {rows} rows written, {shape[0]} announced.")
        return file.entry


def write_whole(path: Path, array: NDArray[Any]) -> FileEntry:
    """Write one array that is in memory as a ``.npy`` file."""
    return write_array(path, [array], shape=array.shape, dtype=array.dtype)


def recorded(path: Path) -> FileEntry:
    """Size and checksum of a file that another library wrote, after an fsync."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return FileEntry(bytes=path.stat().st_size, sha256=sha256(path))


def check_size(path: Path, entry: FileEntry) -> None:
    """Raise IndexNotFoundError or IndexCorruptError unless the file is there in full length."""
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise IndexNotFoundError(f"{path} is missing from the index.") from error
    if size != entry.bytes:
        raise IndexCorruptError(f"{path} has {size} bytes instead of {entry.bytes}; it was truncated or altered.")


def check_content(path: Path, entry: FileEntry) -> None:
    """Raise IndexNotFoundError or IndexCorruptError unless the file is exactly what was written."""
    check_size(path, entry)
    try:
        actual = sha256(path)
    except FileNotFoundError as error:
        raise IndexNotFoundError(f"{path} is missing from the index.") from error
    if actual != entry.sha256:
        raise IndexCorruptError(f"{path} was altered: its checksum is not the one recorded when it was written.")


def open_array(path: Path, *, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Map a ``.npy`` file read-only and check that it is the array that the index says it is; -1 is any length.

    Raises:
        IndexNotFoundError: it is missing.
        IndexCorruptError: it is not a .npy file of that shape and dtype.
    """
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise IndexNotFoundError(f"{path} is missing from the index.") from error
    except (ValueError, EOFError, OSError, SyntaxError, TokenError) as error:
        # NumPy parses a damaged header a second time, as one that Python 2 wrote, with `tokenize`.
        raise IndexCorruptError(f"{path} is not a readable .npy file: {error}.") from error
    fits = len(shape) == mapped.ndim and all(a in (b, -1) for a, b in zip(shape, mapped.shape, strict=True))
    if not fits or mapped.dtype != np.dtype(dtype):
        raise IndexCorruptError(
            f"{path} holds {mapped.dtype} of shape {mapped.shape} instead of {np.dtype(dtype)} of shape {shape}."
        )
    return np.asarray(mapped)  # a plain view: slicing np.memmap objects costs microseconds each


def release(array: NDArray[Any]) -> None:
    """Let go of the memory that a mapped array takes in this process, where the system can; reading maps it again.

    Whoever reads a whole file calls it now and then. Otherwise the resident size would grow to that of the file, and a
    small computer's monitor, or its memory limit, would not know that these pages are free to be dropped.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def open_bytes(path: Path) -> NDArray[np.uint8]:
    """Map a file read-only as (bytes,) uint8; raises as `open_array`."""
    try:
        return np.asarray(np.memmap(path, np.uint8, mode="r"))
    except FileNotFoundError as error:
        raise IndexNotFoundError(f"{path} is missing from the index.") from error
    except (ValueError, OSError) as error:
        raise IndexCorruptError(f"{path} cannot be mapped: {error}.") from error
