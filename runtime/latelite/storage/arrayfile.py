"""Immutable arrays in one file, mapped: the safetensors layout, which any reader of that format opens.

    8 bytes           length of the header, little-endian
    JSON and blanks   name -> dtype, shape and place of each array; fills `_HEADER` bytes with the length
    arrays            one after another, each begun at a multiple of 64 bytes; the gaps are arrays of zeros of their own

Who wrote the file keeps its `Layout` elsewhere, with a checksum per array: the header in the file is for other readers
and is only compared with it. One file is one descriptor, however many arrays it holds.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import mmap
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from latelite.errors import IndexCorruptError, IndexNotFoundError
from latelite.storage.priority import rest

logger = logging.getLogger(__name__)

_HEADER = 4096
_ALIGNMENT = 64
_CHECKED_AT_ONCE = 1 << 22
_CODES = {"i1": "I8", "u1": "U8", "u2": "U16", "u4": "U32", "i4": "I32", "u8": "U64", "i8": "I64", "f4": "F32"}
"""NumPy's names of the types that occur, and those of safetensors."""


@dataclass(frozen=True)
class Section:
    """One array of the file."""

    dtype: str
    """NumPy's name without byte order, which is little-endian."""
    shape: tuple[int, ...]
    offset: int
    """First byte in the file."""
    checksum: str
    """BLAKE2b of the bytes, 128 bits, hexadecimal."""

    @property
    def size(self) -> int:
        """In bytes."""
        size = np.dtype(self.dtype).itemsize
        for length in self.shape:
            size *= length
        return size


class Layout(dict[str, Section]):
    """The arrays of one file by name, in the order in which they lie."""

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return max((section.offset + section.size for section in self.values()), default=_HEADER)

    def to_content(self) -> dict[str, Any]:
        """As plain JSON."""
        return {name: asdict(section) for name, section in self.items()}

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Layout:
        """From parsed JSON.

        Raises:
            KeyError, TypeError, ValueError: it is no layout.
        """
        layout = cls()
        for name, section in content.items():
            found = Section(
                str(section["dtype"]),
                tuple(int(length) for length in section["shape"]),
                int(section["offset"]),
                str(section["checksum"]),
            )
            if found.dtype not in _CODES or min((*found.shape, found.offset - _HEADER)) < 0:
                raise ValueError(f"section {name!r} is not one")
            layout[name] = found
        return layout

    def header(self) -> bytes:
        """The first `_HEADER` bytes of the file."""
        entries: dict[str, Any] = {}
        end = _HEADER
        for name, section in self.items():
            if section.offset > end:
                gap = {"dtype": "U8", "shape": [section.offset - end]}
                entries[f"gap-{end}"] = gap | {"data_offsets": [end - _HEADER, section.offset - _HEADER]}
            end = section.offset + section.size
            entries[name] = {
                "dtype": _CODES[section.dtype],
                "shape": list(section.shape),
                "data_offsets": [section.offset - _HEADER, end - _HEADER],
            }
        text = json.dumps(entries, separators=(",", ":")).encode("ascii")
        room = _HEADER - 8
        if len(text) > room:
            raise ValueError(f"the header takes {len(text)} bytes, {room} is all there are")
        return room.to_bytes(8, "little") + text.ljust(room)


class ArrayWriter:
    """A new file: arrays are streamed into it; it is on the disk when its block ends without an error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.layout = Layout()
        self._file = path.open("xb")
        self._file.write(bytes(_HEADER))
        self._end = _HEADER

    def add(self, name: str, chunks: Iterable[NDArray[Any]], *, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        """Append an array of a known shape from ``chunks`` along its first axis, one chunk in memory at a time."""
        kind = np.dtype(dtype).newbyteorder("<")
        gap = -self._end % _ALIGNMENT
        self._file.write(bytes(gap))
        offset = self._end + gap
        digest, rows, written = hashlib.blake2b(digest_size=16), 0, 0
        for chunk in chunks:
            data = np.ascontiguousarray(chunk, kind).data.cast("B") if chunk.size else memoryview(b"")
            self._file.write(data)
            digest.update(data)
            rows += len(chunk)
            rest()
            written += data.nbytes
        if rows != shape[0]:
            raise ValueError(f"{name}: {rows} rows written, {shape[0]} announced.")
        self._end = offset + written
        self.layout[name] = Section(kind.str.lstrip("<|"), tuple(shape), offset, digest.hexdigest())

    def add_whole(self, name: str, array: NDArray[Any]) -> None:
        """Append one array that is in memory."""
        self.add(name, [array], shape=array.shape, dtype=array.dtype)

    def so_far(self) -> ArrayFile:
        """What has been written, mapped, while more is to come."""
        self._file.flush()
        return ArrayFile(self.path, Layout(self.layout))

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._file.seek(0)
                self._file.write(self.layout.header())
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()


class ArrayFile:
    """An open file, mapped read-only, or read into memory where the file system cannot map files."""

    def __init__(self, path: Path, layout: Layout) -> None:
        """Check that the file is there in full length.

        Raises:
            IndexNotFoundError: it is missing.
            IndexCorruptError: it has another length.
            OSError: the system refuses it: too many open files, no permission, no memory, a failing disk.
        """
        self.path = path
        self.layout = layout
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < layout.size:
                    raise IndexCorruptError(f"{path} has {size} bytes instead of {layout.size}; it was cut off.")
                self._data = _mapped(file.fileno(), size, path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise IndexNotFoundError(f"{path} is missing from the index.") from error

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """One of the arrays, read-only; -1 in ``shape`` is any length.

        Raises:
            IndexCorruptError: it is not there, or is not of that shape and type.
        """
        section = self.layout.get(name)
        if section is None:
            raise IndexCorruptError(f"{self.path} has no array {name!r}.")
        fits = len(shape) == len(section.shape) and all(a in (b, -1) for a, b in zip(shape, section.shape, strict=True))
        if not fits or np.dtype(section.dtype) != np.dtype(dtype):
            raise IndexCorruptError(f"{self.path}: {name} is {section.dtype} {section.shape}, not {dtype} {shape}.")
        flat = np.frombuffer(self._data, section.dtype, section.size // np.dtype(dtype).itemsize, section.offset)
        return flat.reshape(section.shape)

    def check(self, *names: str) -> None:
        """Compare arrays with their checksums; raises IndexCorruptError."""
        for name in names:
            section = self.layout[name]
            digest = hashlib.blake2b(digest_size=16)
            view = memoryview(self._data)[section.offset : section.offset + section.size]
            for start in range(0, section.size, _CHECKED_AT_ONCE):
                digest.update(view[start : start + _CHECKED_AT_ONCE])
                self.release()
            if digest.hexdigest() != section.checksum:
                raise IndexCorruptError(f"{self.path} was altered: {name} does not have its recorded checksum.")

    def check_frame(self) -> None:
        """Compare everything between the arrays with what was written; raises IndexCorruptError."""
        view, end = memoryview(self._data), _HEADER
        whole = len(view) == self.layout.size and bytes(view[:_HEADER]) == self.layout.header()
        for section in self.layout.values():
            whole = whole and not any(view[end : section.offset])
            end = section.offset + section.size
        if not whole:
            raise IndexCorruptError(f"{self.path} was altered: its header or the space between its arrays changed.")

    def release(self) -> None:
        """Let go of the memory that the file takes in this process, where the system can; reading maps it again.

        Whoever reads a whole file calls it now and then. Otherwise the resident size would grow to that of the file,
        and a small computer's monitor, or its memory limit, would not know that these pages are free to be dropped.
        """
        if not isinstance(self._data, bytes) and hasattr(mmap, "MADV_DONTNEED"):
            self._data.madvise(mmap.MADV_DONTNEED)


def _mapped(descriptor: int, size: int, path: Path) -> mmap.mmap | bytes:
    try:
        return mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
    except OSError as error:
        if error.errno not in (errno.ENODEV, errno.ENOSYS, errno.EINVAL):
            raise
        logger.info("%s lies on a file system without mmap; it is read into memory.", path)
        with path.open("rb") as file:
            return file.read()
