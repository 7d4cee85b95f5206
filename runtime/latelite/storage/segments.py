"""A segment: the token vectors of some documents, in one immutable file (`latelite.storage.arrayfile`).

tokens        (tokens, dim) int8 codes, or float32 vectors
quantisation  (2, dim) float32: offset and scale; only beside codes
offsets       (documents + 1,) int64: first token of each document
numbers       (documents,) int64, ascending: the documents' numbers in the catalogue
checksums     (documents,) int64: of each document's tokens, so that damage can be said to be whose
postings.*    lexical postings (`latelite.lexical`); absent from indexes without texts
KIND.*        what the kind of index keeps beside the vectors

An HNSW graph is a file of its own, since hnswlib reads files only.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats, Ints
from latelite.errors import IndexCorruptError
from latelite.files import fsync_folder
from latelite.storage.arrayfile import ArrayFile, ArrayWriter, Layout
from latelite.storage.folders import SEGMENT_NAME, make_folder, refuse_link, refuse_special
from latelite.storage.priority import rest
from latelite.storage.quantisation import Grid
from latelite.storage.schema import check_row, checksum

SEGMENTS = "segments"
ARRAYS = "segment.safetensors"

BLOCK_TOKENS = 16_384
"""Tokens that are in memory at once while a segment is written or read through."""

SMALL = ("quantisation", "longest", "offsets", "numbers")
"""Arrays whose content decides where everything else is read: their checksums are compared whenever it is opened."""


@dataclass(frozen=True)
class SegmentEntry:
    """One segment as the catalogue names it: a row of its table ``segments``."""

    first: int
    """Number of its first document."""
    last: int
    name: str
    documents: int
    """Documents in the file, removed ones included."""
    tokens: int
    removed: int
    """How many of the documents are removed."""
    layout: str
    """JSON: the `Layout` of the arrays, and the files beside them with their sizes and checksums."""

    @property
    def live(self) -> int:
        """Documents that are not removed."""
        return self.documents - self.removed

    @property
    def row(self) -> tuple[int | str, ...]:
        """The values of the row, with their checksum."""
        values = (self.first, self.last, self.name, self.documents, self.tokens, self.removed, self.layout)
        return (*values, checksum(*values))

    @classmethod
    def of_row(cls, row: Sequence[Any], place: Path) -> SegmentEntry:
        """Check one row; raises IndexCorruptError naming ``place``."""
        check_row(row, (int, int, str, int, int, int, str), "the entry of a segment", place)
        entry = cls(*row[:-1])
        if not SEGMENT_NAME.fullmatch(entry.name):
            raise IndexCorruptError(f"{place} names a segment {entry.name!r}, which is no name of a segment.")
        return entry


class Segment:
    """The file of one segment, mapped. What is removed from it is the catalogue's business."""

    def __init__(self, folder: Path, entry: SegmentEntry, *, dim: int) -> None:
        """Open the file ``folder/segment.safetensors``; checks lengths, types, and the small arrays' checksums.

        Raises:
            IndexNotFoundError, IndexCorruptError: naming the file.
            OSError: the system refuses it.
        """
        refuse_link(folder.parent)
        refuse_link(folder)
        refuse_special(folder / ARRAYS)
        self.entry = entry
        self.folder = folder
        self.dim = dim
        try:
            content = json.loads(entry.layout)
            layout = Layout.from_content(content["arrays"])
            self.files: dict[str, tuple[int, str]] = {
                str(name): (int(size), str(digest)) for name, (size, digest) in content["files"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise IndexCorruptError(f"the catalogue's entry of {folder} is incomplete: {error!r}.") from error
        self._open(ArrayFile(folder / ARRAYS, layout))

    def _open(self, arrays: ArrayFile) -> None:
        documents, tokens = self.entry.documents, self.entry.tokens
        self.arrays = arrays
        coded = "quantisation" in arrays.layout
        self.tokens = arrays.array("tokens", (tokens, self.dim), np.int8 if coded else np.float32)
        self.offsets: Ints = arrays.array("offsets", (documents + 1,), np.int64)
        self.numbers: Ints = arrays.array("numbers", (documents,), np.int64)
        self.checksums: Ints = arrays.array("checksums", (documents,), np.int64)
        self.quantisation: Floats | None = None
        self.grid: Grid | None = None
        if coded:
            self.quantisation = np.array(arrays.array("quantisation", (2, self.dim), np.float32))
            self.grid = Grid.from_array(self.quantisation)
        arrays.check(*(name for name in SMALL if name in arrays.layout))
        whole = documents > 0 and int(self.offsets[0]) == 0 and int(self.offsets[-1]) == tokens
        if not whole or (np.diff(self.offsets) < 1).any() or (np.diff(self.numbers) < 1).any():
            raise IndexCorruptError(f"{arrays.path}: its offsets or numbers are not ascending.")

    def __len__(self) -> int:
        return self.entry.documents

    @cached_property
    def longest(self) -> float:
        """L2 norm of the longest token, as stored."""
        return float(self.arrays.array("longest", (1,), np.float32)[0])

    @property
    def name(self) -> str:
        return self.entry.name

    def embeddings(self, position: int) -> Floats:
        """(tokens of the document, dim) float32, decoded.

        Raises:
            IndexCorruptError: they do not have their checksum.
        """
        start, stop = int(self.offsets[position]), int(self.offsets[position + 1])
        if token_checksum(self.tokens[start:stop]) != self.checksums[position]:
            raise IndexCorruptError(f"{self.arrays.path} is damaged: token vectors of a document changed.")
        return self.decoded(start, stop)

    def decoded(self, start: int, stop: int) -> Floats:
        """Tokens ``start`` to ``stop`` as (tokens, dim) float32."""
        return self.decode(self.tokens[start:stop])

    def decode(self, rows: NDArray[Any]) -> Floats:
        """Rows of `tokens`, (tokens, dim) as stored, as float32."""
        return np.array(rows) if self.grid is None else self.grid.decode(rows)

    def blocks(self) -> Iterator[Floats]:
        """All tokens in order as float32 blocks of at most `BLOCK_TOKENS`."""
        for start in range(0, len(self.tokens), BLOCK_TOKENS):
            yield self.decoded(start, min(start + BLOCK_TOKENS, len(self.tokens)))
            self.arrays.release()

    def sample(self, numbers: Ints) -> NDArray[Any]:
        """The tokens ``numbers`` (ascending), as stored."""
        rows = np.empty((len(numbers), self.dim), self.tokens.dtype)
        for start in range(0, len(numbers), BLOCK_TOKENS):
            rows[start : start + BLOCK_TOKENS] = self.tokens[numbers[start : start + BLOCK_TOKENS]]
            self.arrays.release()
        return rows

    def damaged(self) -> Ints:
        """Positions of the documents whose token vectors do not have their checksums, ascending."""
        found = []
        for position, (start, stop) in enumerate(pairwise(map(int, self.offsets))):
            if token_checksum(self.tokens[start:stop]) != self.checksums[position]:
                found.append(position)
            rest()
            if stop % BLOCK_TOKENS < stop - start:
                self.arrays.release()
        return np.array(found, np.int64)

    def verify(self) -> None:
        """Compare everything but the tokens (see `damaged`) with its checksum; raises IndexCorruptError."""
        self.arrays.check(*(name for name in self.arrays.layout if name != "tokens"))
        self.arrays.check_frame()


class SegmentWriter:
    """Writes one new segment: vectors first, then what the kind of index and the words add, then it is on the disk."""

    def __init__(self, root: Path, first: int) -> None:
        self.name = f"{first:08d}-{secrets.token_hex(4)}"
        self.folder = root / SEGMENTS / self.name
        self.files: dict[str, tuple[int, str]] = {}
        refuse_link(root / SEGMENTS)
        make_folder(self.folder)
        self.writer = ArrayWriter(self.folder / ARRAYS)

    def add_documents(
        self, numbers: Ints, lengths: Ints, tokens: Iterable[NDArray[Any]], *, dim: int, grid: Grid | None
    ) -> None:
        """Write token vectors.

        Args:
            numbers: (documents,) ascending.
            lengths: (documents,) tokens of each.
            tokens: chunks of codes of ``grid``, or of float32 vectors when that is None.
        """
        self._total, self._documents = int(lengths.sum()), len(numbers)
        self._dim = dim
        ends = np.cumsum(lengths)
        sums = _Checksums(ends)
        shape, dtype = (self._total, dim), np.float32 if grid is None else np.int8
        self.writer.add("tokens", sums.passing(tokens, dtype), shape=shape, dtype=dtype)
        self.writer.add_whole("longest", np.array([sums.longest], np.float32))
        if grid is not None:
            self.writer.add_whole("quantisation", grid.to_array())
        self.writer.add_whole("offsets", np.append(0, ends))
        self.writer.add_whole("numbers", numbers)
        self.writer.add_whole("checksums", sums.found)
        self._span = int(numbers[0]), int(numbers[-1])

    def so_far(self) -> Segment:
        """The segment, open, while its sidecars are still to come."""
        self.writer.so_far()
        return Segment(self.folder, self.entry(), dim=self._dim)

    def add_arrays(self, prefix: str, arrays: Iterable[tuple[str, NDArray[Any]]]) -> None:
        """Append the arrays of a sidecar."""
        for name, array in arrays:
            self.writer.add_whole(f"{prefix}.{name}", array)

    def add_file(self, name: str, size: int, digest: str) -> None:
        """Take a file into the segment that another library wrote and that is on the disk."""
        self.files[name] = (size, digest)

    def entry(self) -> SegmentEntry:
        """The row of the catalogue."""
        layout = {"arrays": self.writer.layout.to_content(), "files": self.files}
        return SegmentEntry(*self._span, self.name, self._documents, self._total, 0, json.dumps(layout))

    def __enter__(self) -> SegmentWriter:
        self.writer.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.writer.__exit__(*error)
        if error[0] is None:
            fsync_folder(self.folder)


class _Checksums:
    """Checksums of documents whose tokens pass by in chunks."""

    def __init__(self, ends: Ints) -> None:
        self._ends = map(int, ends)
        self.found = np.empty(len(ends), np.int64)
        self.longest = 0.0
        """L2 norm of the longest token"""

    def passing(self, chunks: Iterable[NDArray[Any]], dtype: Any) -> Iterator[NDArray[Any]]:
        """Hand on ``chunks``."""
        position, end, count = 0, next(self._ends, 0), 0
        digest = hashlib.blake2b(digest_size=8)
        for chunk in chunks:
            chunk = np.ascontiguousarray(chunk, dtype)
            if len(chunk):
                wide = chunk.astype(np.float32)  # codes' squares add up exactly: below 2**24
                self.longest = max(self.longest, float(np.sqrt(np.einsum("td,td->t", wide, wide).max())))
            start = 0
            while end and end <= position + len(chunk):
                digest.update(chunk[start : end - position].data.cast("B"))
                self.found[count] = int.from_bytes(digest.digest(), "little", signed=True)
                count += 1
                digest = hashlib.blake2b(digest_size=8)
                start, end = end - position, next(self._ends, 0)
            if start < len(chunk):
                digest.update(chunk[start:].data.cast("B"))
            position += len(chunk)
            yield chunk


def token_checksum(tokens: NDArray[Any]) -> int:
    """The checksum of one document's tokens as they are stored."""
    digest = hashlib.blake2b(np.ascontiguousarray(tokens).data.cast("B"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def largest_grid(segments: Iterable[Segment]) -> Grid | None:
    """The grid of the largest segment that has one."""
    coded = [segment for segment in segments if segment.grid is not None]
    return max(coded, key=lambda segment: segment.entry.tokens).grid if coded else None
