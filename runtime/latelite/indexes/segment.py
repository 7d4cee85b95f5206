"""A segment: an immutable folder with the token vectors, ids and payloads of some documents.

codes.npy            (tokens, dim) int8, or vectors.npy (tokens, dim) float32
quantisation.npy     (2, dim) float32: offset and scale; only beside codes.npy
offsets.npy          (documents + 1,) int64: first token of each document
ids.jsonl            one JSON string or integer per line
ids_offsets.npy      (documents + 1,) int64: first byte of each line
ids_lookup.npy       (2, documents) uint64: hashes in ascending order, and their documents
payloads.jsonl       optional: one JSON object or null per line
payloads_offsets.npy (documents + 1,) int64
removed-<n>.npy      the documents removed as of generation n
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.errors import IndexCorruptError
from latelite.indexes.generation import Removed, SegmentEntry
from latelite.indexes.identifiers import IdTable, Lines, id_hashes, lookup_table
from latelite.indexes.output import (
    OutputFile,
    check_content,
    check_size,
    open_array,
    open_bytes,
    release,
    write_array,
    write_whole,
)
from latelite.storage.quantisation import Grid
from latelite.manifest import FileEntry

CODES = "codes.npy"
VECTORS = "vectors.npy"
QUANTISATION = "quantisation.npy"
OFFSETS = "offsets.npy"
IDS = "ids"
PAYLOADS = "payloads"

BLOCK_TOKENS = 16_384
"""Tokens that are in memory at once while a segment is written or read through."""

_ALWAYS_CHECKED = (QUANTISATION, OFFSETS, f"{IDS}_offsets.npy", f"{IDS}_lookup.npy", f"{PAYLOADS}_offsets.npy")
"""Small files whose content decides where everything else is read: their checksums are verified at every open."""

NULL_PAYLOAD = b"null\n"


class Segment:
    """The files of one segment, mapped read-only. What is removed from it is the generation's business."""

    def __init__(self, folder: Path, entry: SegmentEntry, *, dim: int) -> None:
        """Open the files and check their sizes, shapes and the checksums of the small ones.

        Raises:
            IndexNotFoundError, IndexCorruptError: naming the file.
        """
        for name, file in entry.files.items():
            check = check_content if name in _ALWAYS_CHECKED else check_size
            check(folder / name, file)
        self.folder = folder
        self.entry = entry
        self.dim = dim
        self.offsets: NDArray[np.int64] = open_array(folder / OFFSETS, shape=(entry.documents + 1,), dtype=np.int64)
        if int(self.offsets[-1]) != entry.tokens:
            raise IndexCorruptError(f"{folder / OFFSETS} ends at {int(self.offsets[-1])}, not at {entry.tokens}.")
        shape = (entry.tokens, dim)
        self.grid: Grid | None = None
        self.quantisation: NDArray[np.float32] | None = None
        if CODES in entry.files:
            self.tokens: NDArray[Any] = open_array(folder / CODES, shape=shape, dtype=np.int8)
            self.quantisation = np.array(open_array(folder / QUANTISATION, shape=(2, dim), dtype=np.float32))
            self.grid = Grid.from_array(self.quantisation)
        else:
            self.tokens = open_array(folder / VECTORS, shape=shape, dtype=np.float32)
        table = open_array(folder / f"{IDS}_lookup.npy", shape=(2, entry.documents), dtype=np.uint64)
        self.ids = IdTable(self._lines(IDS), table)
        self.payloads = self._lines(PAYLOADS) if f"{PAYLOADS}.jsonl" in entry.files else None

    def __len__(self) -> int:
        return self.entry.documents

    @property
    def name(self) -> str:
        return self.entry.name

    def _lines(self, stem: str) -> Lines:
        path = self.folder / f"{stem}_offsets.npy"
        offsets = open_array(path, shape=(self.entry.documents + 1,), dtype=np.int64)
        data = open_bytes(self.folder / f"{stem}.jsonl")
        if int(offsets[-1]) != len(data):
            raise IndexCorruptError(f"{path} ends at {int(offsets[-1])}, not at {len(data)}.")
        return Lines(data, offsets)

    def embeddings(self, document: int) -> NDArray[np.float32]:
        """(tokens of the document, dim) float32, decoded."""
        return self.decoded(int(self.offsets[document]), int(self.offsets[document + 1]))

    def decoded(self, start: int, stop: int) -> NDArray[np.float32]:
        """Tokens ``start`` to ``stop`` as (tokens, dim) float32."""
        return self.decode(self.tokens[start:stop])

    def decode(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Rows of `tokens`, (tokens, dim) as stored, as float32."""
        return np.array(rows) if self.grid is None else self.grid.decode(rows)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """All tokens in order as float32 blocks of at most `BLOCK_TOKENS`."""
        for start in range(0, len(self.tokens), BLOCK_TOKENS):
            yield self.decoded(start, min(start + BLOCK_TOKENS, len(self.tokens)))
            release(self.tokens)

    def sample(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """The tokens ``numbers`` (ascending), as stored."""
        rows = np.empty((len(numbers), self.dim), self.tokens.dtype)
        for start in range(0, len(numbers), BLOCK_TOKENS):
            rows[start : start + BLOCK_TOKENS] = self.tokens[numbers[start : start + BLOCK_TOKENS]]
            release(self.tokens)
        return rows

    def payload(self, document: int) -> dict[str, Any] | None:
        """The JSON object stored with the document, None when there is none."""
        value: dict[str, Any] | None = None if self.payloads is None else self.payloads[document]
        return value

    def raw_payload(self, document: int) -> bytes:
        """The payload's line as it is in the file."""
        return NULL_PAYLOAD if self.payloads is None else self.payloads.raw(document)

    def live(self, removed: Removed | None) -> NDArray[np.bool_] | None:
        """(documents,) bool, False for removed documents; None when none is removed."""
        if removed is None:
            return None
        path = self.folder / removed.file
        check_content(path, removed.entry)
        numbers = open_array(path, shape=(removed.documents,), dtype=np.int64)
        mask = np.ones(len(self), np.bool_)
        mask[numbers] = False
        return mask

    def verify(self) -> None:
        """Read everything: checksums, offsets, ids. Raises IndexCorruptError or IndexNotFoundError."""
        for name, file in self.entry.files.items():
            check_content(self.folder / name, file)
        if int(self.offsets[0]) != 0 or (np.diff(self.offsets) < 1).any():
            raise IndexCorruptError(f"{self.folder / OFFSETS} is not strictly increasing from 0.")
        if self.tokens.dtype == np.float32:
            for block in self.blocks():
                if not np.isfinite(block).all():
                    raise IndexCorruptError(f"{self.folder / VECTORS} holds values that are not finite.")
        encoded = [self.ids.raw(number).rstrip(b"\n") for number in range(len(self))]
        if not np.array_equal(self.ids.find(encoded, id_hashes(encoded)), np.arange(len(self))):
            raise IndexCorruptError(f"{self.folder}: {IDS}_lookup.npy does not lead to the lines of {IDS}.jsonl.")


def write_segment(
    folder: Path,
    *,
    ids: Iterable[bytes],
    payloads: Iterable[bytes] | None,
    lengths: NDArray[np.int64],
    tokens: Iterable[NDArray[Any]],
    dim: int,
    grid: Grid | None,
) -> SegmentEntry:
    """Write a new segment into ``folder``, in blocks, every file fsynced.

    Args:
        ids: encoded ids without line ends, one per document.
        payloads: JSON lines with their ends, one per document; None writes no payload files.
        lengths: (documents,) tokens of each document.
        tokens: chunks of codes of ``grid``, or of float32 vectors when that is None.
    """
    folder.mkdir(parents=True)
    documents, total = len(lengths), int(lengths.sum())
    files: dict[str, FileEntry] = {}
    if grid is None:
        files[VECTORS] = write_array(folder / VECTORS, tokens, shape=(total, dim), dtype=np.float32)
    else:
        files[CODES] = write_array(folder / CODES, tokens, shape=(total, dim), dtype=np.int8)
        files[QUANTISATION] = write_whole(folder / QUANTISATION, grid.to_array())
    offsets = np.zeros(documents + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    files[OFFSETS] = write_whole(folder / OFFSETS, offsets)

    hashes: list[NDArray[np.uint64]] = []

    def hashed(lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            hashes.append(id_hashes([line]))
            yield line + b"\n"

    files |= _write_lines(folder, IDS, hashed(ids), documents)
    files[f"{IDS}_lookup.npy"] = write_whole(folder / f"{IDS}_lookup.npy", lookup_table(np.concatenate(hashes)))
    if payloads is not None:
        files |= _write_lines(folder, PAYLOADS, payloads, documents)
    return SegmentEntry(name=folder.name, documents=documents, tokens=total, files=files)


def _write_lines(folder: Path, stem: str, lines: Iterable[bytes], expected: int) -> Mapping[str, FileEntry]:
    offsets = array("q", [0])
    with OutputFile(folder / f"{stem}.jsonl") as file:
        for line in lines:
            offsets.append(offsets[-1] + file.write(line))
        entry = file.entry
    if len(offsets) != expected + 1:
        raise ValueError(f"{stem}: {len(offsets) - 1} lines for {expected} documents.")
    positions = np.frombuffer(offsets, np.int64)
    return {f"{stem}.jsonl": entry, f"{stem}_offsets.npy": write_whole(folder / f"{stem}_offsets.npy", positions)}


def encoded_payload(payload: Mapping[str, Any] | None) -> bytes:
    """One line of ``payloads.jsonl``.

    Raises:
        TypeError, ValueError: it is not a JSON object.
    """
    if payload is None:
        return NULL_PAYLOAD
    if not isinstance(payload, Mapping):
        raise TypeError(f"A payload must be a dictionary or None, not {type(payload).__name__}.")
    try:
        return json.dumps(dict(payload), ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:  # an unpaired surrogate: only an escape can carry it
        return json.dumps(dict(payload), allow_nan=False).encode() + b"\n"


def live_numbers(segment: Segment, live: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Ascending numbers of the documents that are not removed."""
    return np.arange(len(segment)) if live is None else np.flatnonzero(live)


def token_chunks(segment: Segment, documents: NDArray[np.int64], grid: Grid | None) -> Iterator[NDArray[Any]]:
    """The tokens of ``documents`` (ascending), ready for a segment with ``grid``.

    Codes of the same grid are copied as they are, without a rounding.
    """
    breaks = np.flatnonzero(np.diff(documents) != 1) + 1
    for run in np.split(documents, breaks):
        if not len(run):
            continue
        for start in range(int(segment.offsets[run[0]]), int(segment.offsets[run[-1] + 1]), BLOCK_TOKENS):
            stop = min(start + BLOCK_TOKENS, int(segment.offsets[run[-1] + 1]))
            if segment.grid == grid:
                yield segment.tokens[start:stop]
            elif grid is None:
                yield segment.decoded(start, stop)
            else:
                yield grid.encode(segment.decoded(start, stop))
            release(segment.tokens)


def lengths_of(segment: Segment, documents: NDArray[np.int64]) -> NDArray[np.int64]:
    """(documents,) tokens of each."""
    lengths: NDArray[np.int64] = segment.offsets[documents + 1] - segment.offsets[documents]
    return lengths
