"""Document ids: what is accepted, how they are written, and how they are found without loading them all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.errors import DuplicateIdError

DocumentId = str | int


def checked_ids(ids: Iterable[Any]) -> list[DocumentId]:
    """Return ``ids`` as str and int, NumPy's integers converted.

    Raises:
        TypeError: an id is neither a string nor an integer. ``True`` is refused: it equals 1 in Python, but not in
            the files.
        DuplicateIdError: an id occurs twice.
    """
    if isinstance(ids, str | bytes):
        raise TypeError("documents_ids must be a list of ids, not one string.")
    checked = [checked_id(i) for i in ids]
    if len(set(checked)) != len(checked):
        seen: set[DocumentId] = set()
        for i in checked:
            if i in seen:
                raise DuplicateIdError(f"The id {i!r} occurs twice in one call; each document needs its own.")
            seen.add(i)
    return checked


def checked_id(value: Any) -> DocumentId:
    """Return one id as str or int; raises TypeError for anything else."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    raise TypeError(f"A document id must be a string or an integer, not {value!r} ({type(value).__name__}).")


def encoded_id(value: DocumentId) -> bytes:
    """One line of ``ids.jsonl`` without its end: JSON, so ``1`` and ``"1"`` differ and any string survives."""
    return json.dumps(value).encode("ascii")


def id_hashes(encoded: Sequence[bytes]) -> NDArray[np.uint64]:
    """(ids,) uint64: the first 8 bytes of BLAKE2b, little-endian."""
    digests = b"".join(hashlib.blake2b(line, digest_size=8).digest() for line in encoded)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def lookup_table(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """(2, documents) uint64: hashes in ascending order, and the document that each belongs to."""
    order = np.argsort(hashes, kind="stable")
    return np.stack([hashes[order], order.astype(np.uint64)])


class Lines:
    """A text file of one JSON value per line, found by number through an offsets array; nothing is loaded."""

    def __init__(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        """``data``: (bytes,) uint8, the mapped file; ``offsets``: (lines + 1,) int64."""
        self._data = data
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def raw(self, number: int) -> bytes:
        """Line ``number`` with its line end."""
        return self._data[int(self._offsets[number]) : int(self._offsets[number + 1])].tobytes()

    def __getitem__(self, number: int) -> Any:
        return json.loads(self.raw(number))

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))


class IdTable:
    """The ids of one segment: document number to id by offset, id to document number by a sorted table of hashes.

    A dictionary of 100,000 ids would cost 15 MB and be rebuilt at every start; this costs nothing until it is asked.
    """

    def __init__(self, lines: Lines, table: NDArray[np.uint64]) -> None:
        self._lines = lines
        self._hashes = table[0]
        self._documents = table[1]

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, document: int) -> DocumentId:
        value: DocumentId = self._lines[document]
        return value

    def __iter__(self) -> Iterator[DocumentId]:
        return iter(self._lines)

    def raw(self, document: int) -> bytes:
        """The id's line as it is in the file."""
        return self._lines.raw(document)

    def find(self, encoded: Sequence[bytes], hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """(ids,) int64: the document number of each id, -1 where it is not in this segment."""
        places = np.searchsorted(self._hashes, hashes)
        found = np.full(len(hashes), -1, np.int64)
        inside = np.flatnonzero(places < len(self._hashes))
        hits = inside[self._hashes[places[inside]] == hashes[inside]]
        for number in hits.tolist():
            place = int(places[number])
            while place < len(self._hashes) and self._hashes[place] == hashes[number]:
                document = int(self._documents[place])
                if self.raw(document).rstrip(b"\n") == encoded[number]:
                    found[number] = document
                    break
                place += 1
        return found
