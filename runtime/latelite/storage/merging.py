"""When segments are merged, and how.

Tiers, as in a log-structured merge tree: a segment of t tokens is in tier floor(log8 t); as soon as there are eight of
one tier among the newest, these and whatever smaller ones lie between become one. A document is so rewritten once per
tier, log8 of the number of tokens at most, and an index has at most seven segments per tier. Segments are merged with
their neighbours only, which keeps the order of insertion. The largest are left alone until `compact`, unless half of
one is removed.

A merge reads its parents whole, and compares every document with its checksum: what is damaged is not copied into a
segment where it would look sound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Ints
from latelite.storage.postings import add_merged
from latelite.storage.quantisation import Grid, best_grid
from latelite.storage.segments import BLOCK_TOKENS, SEGMENTS, Segment, SegmentEntry, SegmentWriter, largest_grid
from latelite.storage.snapshot import OpenSegment, Snapshot
from latelite.storage.storage import Storage

FANOUT = 8
"""Segments of one tier that become one."""
LARGEST = 1 << 21
"""Tokens; a merge that would make a larger segment is left to `compact`."""


def next_merge(segments: Sequence[SegmentEntry], budget: int = LARGEST) -> slice | None:
    """The neighbouring segments to merge next, of ``budget`` tokens at most; None when all is well."""
    for position, segment in enumerate(segments):
        if segment.live * 2 < segment.documents and segment.tokens <= budget:
            return slice(position, position + 1)
    for tier in sorted({_tier(segment) for segment in segments}):
        first = len(segments)
        while first and _tier(segments[first - 1]) <= tier:
            first -= 1
        full = sum(_tier(segment) == tier for segment in segments[first:]) >= FANOUT
        if full and sum(segment.tokens for segment in segments[first:]) <= min(LARGEST, budget):
            return slice(first, len(segments))
    return None


def _tier(segment: SegmentEntry) -> int:
    return int(math.log(segment.tokens, FANOUT))


def merge_segments(storage: Storage, parents: Sequence[OpenSegment], base: Snapshot) -> SegmentEntry | None:
    """Write the live documents of ``parents`` as one new segment, open it, and return its entry.

    None when no document is live.

    Raises:
        IndexCorruptError: a parent is damaged, naming the documents.
    """
    chosen = [np.arange(len(part)) if part.live is None else np.flatnonzero(part.live) for part in parents]
    kept = [(part.files, places) for part, places in zip(parents, chosen, strict=True) if len(places)]
    for files, places in kept:
        storage.check_vectors(files, places)
    if not kept:
        return None
    grid = _grid(kept) if storage.kind.store == "int8" else None
    numbers = np.concatenate([files.numbers[places] for files, places in kept])
    with SegmentWriter(storage.folder, int(numbers[0])) as writer:
        writer.add_documents(
            numbers,
            np.concatenate([np.diff(files.offsets)[places] for files, places in kept]),
            chain.from_iterable(token_chunks(files, places, grid) for files, places in kept),
            dim=kept[0][0].dim,
            grid=grid,
        )
        if storage.lexical:
            add_merged(writer, parents)
        sidecar = storage.kind.build(writer, parents, base)
    entry = writer.entry()
    open_segment(storage, entry, sidecar, kept[0][0].dim)
    return entry


def open_segment(storage: Storage, entry: SegmentEntry, sidecar: Any, dim: int) -> None:
    """Open a segment that was just written, for the next snapshot: what cannot be opened is not committed."""
    files = Segment(storage.folder / SEGMENTS / entry.name, entry, dim=dim)
    loaded = sidecar if sidecar is not None else storage.kind.load(files)
    storage.opened[entry.name] = OpenSegment(entry, files, None, loaded)


def token_chunks(segment: Segment, places: Ints, grid: Grid | None) -> Iterator[NDArray[Any]]:
    """The tokens of the documents ``places`` (ascending), ready for a segment with ``grid``.

    Codes of the same grid are copied as they are, without a rounding.
    """
    breaks = np.flatnonzero(np.diff(places) != 1) + 1
    for run in np.split(places, breaks):
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
            segment.arrays.release()


def _grid(kept: Sequence[tuple[Segment, Ints]]) -> Grid | None:
    """The grid that the segments share already, else the best for their vectors."""
    grids = [files.grid for files, _ in kept]
    if grids[0] is not None and all(grid == grids[0] for grid in grids):
        return grids[0]
    known = largest_grid(files for files, _ in kept)
    return best_grid(known, lambda: chain.from_iterable(token_chunks(files, places, None) for files, places in kept))
