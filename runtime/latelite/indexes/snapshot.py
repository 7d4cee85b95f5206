"""One generation, opened: what a search reads from beginning to end, whatever a writer publishes meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.indexes.generation import Generation, SegmentEntry
from latelite.indexes.identifiers import DocumentId, encoded_id, id_hashes
from latelite.indexes.segment import Segment
from latelite.indexes.store import SEGMENTS
from latelite.manifest import FileEntry

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class OpenSegment:
    """A segment as one generation sees it."""

    files: Segment
    live: Mask | None
    """(documents,) bool; None when no document is removed."""
    companion: Any
    """What the index kind keeps beside the vectors, e.g. a loaded graph."""
    entry: SegmentEntry


@dataclass(frozen=True)
class Snapshot:
    """The open segments of one generation, in the order of insertion."""

    generation: Generation | None = None
    """None for an index that was never published."""
    segments: tuple[OpenSegment, ...] = ()
    starts: tuple[int, ...] = ()
    """Per segment the index-wide number of its first document; ascending numbers are the order of insertion."""
    shared: Mapping[str, Any] = field(default_factory=dict)
    """What the index kind loaded from files that segments share, by path."""

    @classmethod
    def open(
        cls,
        folder: Path,
        generation: Generation,
        *,
        previous: Snapshot,
        companion: Callable[[Segment, Mapping[str, Any]], Any],
        share: Callable[[Path, FileEntry, int], Any],
    ) -> Snapshot:
        """Open ``generation``; segments and shared files that ``previous`` has open already are taken from there.

        Raises:
            IndexNotFoundError, IndexCorruptError: naming the file.
        """
        shared = {
            name: previous.shared[name] if name in previous.shared else share(folder / name, entry, generation.dim)
            for name, entry in generation.files.items()
        }
        opened = {segment.files.name: segment for segment in previous.segments}
        segments = []
        for entry in generation.segments:
            known = opened.get(entry.name)
            if known is None:
                files = Segment(folder / SEGMENTS / entry.name, entry, dim=generation.dim)
                segments.append(OpenSegment(files, files.live(entry.removed), companion(files, shared), entry))
            elif known.entry.removed == entry.removed:
                segments.append(known)
            else:
                live = known.files.live(entry.removed)
                segments.append(OpenSegment(known.files, live, known.companion, entry))
        sizes = [len(segment.files) for segment in segments]
        starts = np.cumsum([0, *sizes])[: len(sizes)].tolist()
        return cls(generation, tuple(segments), tuple(starts), shared)

    def __len__(self) -> int:
        return 0 if self.generation is None else self.generation.live

    def ids(self) -> Iterator[DocumentId]:
        """Ids of the live documents in the order of insertion."""
        for segment, number in self.documents():
            yield segment.files.ids[number]

    def documents(self) -> Iterator[tuple[OpenSegment, int]]:
        """Live documents in the order of insertion, as segment and number in it."""
        for segment in self.segments:
            for number in range(len(segment.files)) if segment.live is None else np.flatnonzero(segment.live).tolist():
                yield segment, number

    def find(self, ids: Sequence[DocumentId]) -> tuple[Ints, Ints]:
        """Per id the segment's position and the document's number in it, both (ids,); -1 for ids that are not here."""
        positions = np.full(len(ids), -1, np.int64)
        numbers = np.full(len(ids), -1, np.int64)
        if not len(ids):
            return positions, numbers
        encoded = [encoded_id(i) for i in ids]
        hashes = id_hashes(encoded)
        for position, segment in enumerate(self.segments):
            found = segment.files.ids.find(encoded, hashes)
            here = found >= 0
            if segment.live is not None:
                here[here] = segment.live[found[here]]
            positions[here] = position
            numbers[here] = found[here]
        return positions, numbers

    def masks(self, ids: Sequence[DocumentId]) -> list[Mask]:
        """Per segment (documents,) bool: the live documents whose id is in ``ids``."""
        masks = [np.zeros(len(segment.files), np.bool_) for segment in self.segments]
        positions, numbers = self.find(ids)
        for position, mask in enumerate(masks):
            mask[numbers[positions == position]] = True
        return masks

    def live_masks(self) -> list[Mask | None]:
        """Per segment (documents,) bool: the live documents; None where all are."""
        return [segment.live for segment in self.segments]

    def locate(self, number: int) -> tuple[OpenSegment, int]:
        """The segment of an index-wide document number, and the document's number in it."""
        position = int(np.searchsorted(self.starts, number, side="right")) - 1
        return self.segments[position], number - self.starts[position]
