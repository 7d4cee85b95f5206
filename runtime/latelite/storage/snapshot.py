"""What a reader sees: the documents of one state, in the order of insertion, in immutable files and in memory.

A snapshot is a list of *parts*: the open segments and, last, the recent documents, whose vectors lie in memory. A
document is known by its *number*, which grows with each document that is added and is never used again; each part
holds the numbers of its documents, ascending, and all those of a part are larger than those of the parts before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats, Ints, Mask
from latelite.errors import IndexCorruptError
from latelite.storage.segments import Segment, SegmentEntry


@dataclass(frozen=True)
class Settings:
    """What an index is: a row of the catalogue's table ``state``."""

    kind: str
    dim: int
    store: str
    """How token vectors are kept: ``"int8"`` or ``"float32"``."""
    fingerprint: str | None
    """Identifies the model whose vectors these are."""
    parameters: Mapping[str, Any]
    """Of the kind, as they were last written."""


@dataclass(frozen=True, eq=False)
class OpenSegment:
    """A segment as one state sees it."""

    entry: SegmentEntry
    files: Segment
    live: Mask | None
    """(documents,) False for removed documents; None when none is removed."""
    sidecar: Any
    """What the index kind keeps beside the vectors; None where all documents are scanned."""

    def __post_init__(self) -> None:
        # Plain attributes: they are read in the inner loops of a search.
        for name in ("numbers", "tokens", "offsets", "quantisation"):
            object.__setattr__(self, name, getattr(self.files, name))

    numbers: Ints = None  # type: ignore[assignment]
    """(documents,) ascending."""
    tokens: NDArray[Any] = None  # type: ignore[assignment]
    """(tokens, dim) int8 codes with a `quantisation`, or float32."""
    offsets: Ints = None  # type: ignore[assignment]
    """(documents + 1,) first token of each document."""
    quantisation: Floats | None = None
    """(2, dim) offset and scale of the codes."""

    def __len__(self) -> int:
        return len(self.files)

    def embeddings(self, position: int) -> Floats:
        return self.files.embeddings(position)


@dataclass(frozen=True, eq=False)
class Recent:
    """Documents that are not in a segment yet: float32 vectors in memory; a part like an `OpenSegment`."""

    numbers: Ints
    tokens: Floats
    offsets: Ints
    terms: tuple[NDArray[np.uint32] | None, ...] = ()
    """Lexical terms of each document, with repeats; None where the index has no texts."""
    quantisation: None = None
    live: None = None
    sidecar: Any = None

    def __len__(self) -> int:
        return len(self.numbers)

    def embeddings(self, position: int) -> Floats:
        return self.tokens[self.offsets[position] : self.offsets[position + 1]].copy()

    @classmethod
    def of(cls, documents: Sequence[tuple[int, Floats, NDArray[np.uint32] | None]], dim: int) -> Recent:
        """From number, vectors and terms of each document, ascending by number."""
        lengths = [len(vectors) for _, vectors, _ in documents]
        return cls(
            np.array([number for number, _, _ in documents], np.int64),
            np.concatenate([vectors for _, vectors, _ in documents]) if documents else np.empty((0, dim), np.float32),
            np.cumsum([0, *lengths]),
            tuple(terms for _, _, terms in documents),
        )


NOTHING = Recent(np.empty(0, np.int64), np.empty((0, 0), np.float32), np.zeros(1, np.int64))


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One state of an index."""

    identity: str = ""
    """Of the catalogue: another one is another index in the same place."""
    generation: int = 0
    """Grows with each write."""
    settings: Settings | None = None
    """None for an index that nothing was written to."""
    segments: tuple[OpenSegment, ...] = ()
    recent: Recent = NOTHING

    @cached_property
    def parts(self) -> tuple[OpenSegment | Recent, ...]:
        """All places that hold documents, in the order of insertion."""
        return (*self.segments, self.recent) if len(self.recent) else self.segments

    @cached_property
    def tokens(self) -> int:
        """Token vectors that are stored, those of removed documents included until they are merged away."""
        return sum(len(part.tokens) for part in self.parts)

    @cached_property
    def _lasts(self) -> Ints:
        return np.array([part.numbers[-1] for part in self.parts], np.int64)

    def __len__(self) -> int:
        return sum(len(part) if part.live is None else int(part.live.sum()) for part in self.parts)

    def __contains__(self, number: int) -> bool:
        place = int(np.searchsorted(self._lasts, number))
        if place >= len(self.parts):
            return False
        part = self.parts[place]
        position = int(np.searchsorted(part.numbers, number))
        return bool(part.numbers[position] == number and (part.live is None or part.live[position]))

    def live_masks(self) -> list[Mask | None]:
        """Per part (documents,) bool: the documents that are not removed; None where all are."""
        return [part.live for part in self.parts]

    def masks(self, numbers: Ints) -> list[Mask]:
        """Per part (documents,) bool: the live documents among ``numbers`` (ascending)."""
        found = []
        for part in self.parts:
            mask = np.zeros(len(part), np.bool_)
            first, last = np.searchsorted(numbers, [part.numbers[0], part.numbers[-1] + 1])
            inside = numbers[first:last]
            if part.numbers[-1] - part.numbers[0] == len(part) - 1:  # without gaps a number says its place
                mask[inside - part.numbers[0]] = True
            else:
                places = np.searchsorted(part.numbers, inside)
                mask[places[part.numbers[places] == inside]] = True
            found.append(mask if part.live is None else mask & part.live)
        return found

    def numbers(self) -> Ints:
        """(documents,) the numbers of all live documents, ascending."""
        parts = [part.numbers if part.live is None else part.numbers[part.live] for part in self.parts]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def locate(self, number: int) -> tuple[OpenSegment | Recent, int]:
        """The part that holds a document, and its position there.

        Raises:
            IndexCorruptError: no part does.
        """
        place = int(np.searchsorted(self._lasts, number))
        if place < len(self.parts):
            part = self.parts[place]
            position = int(np.searchsorted(part.numbers, number))
            if position < len(part) and part.numbers[position] == number:
                return part, position
        raise IndexCorruptError(f"document number {number} is in the catalogue, but its token vectors are nowhere.")


def runs(numbers: Iterable[int]) -> Iterator[list[int]]:
    """``numbers`` in lists that one SQL statement can take."""
    chunk: list[int] = []
    for number in numbers:
        chunk.append(number)
        if len(chunk) == 500:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
