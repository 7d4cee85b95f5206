"""When segments are merged, and how.

Tiers, as in a log-structured merge tree: a segment of t tokens is in tier floor(log8 t); as soon as there are eight of
one tier among the newest, these and whatever smaller ones lie between become one. A document is so rewritten once per
tier, log8 of the number of adds at most, and an index has at most seven segments per tier. Segments are merged with
their neighbours only, which keeps the order of insertion. The largest are left alone until `compact`, unless half of
one is removed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latelite.indexes.generation import SegmentEntry
from latelite.storage.quantisation import Grid, best_grid
from latelite.indexes.segment import Segment, lengths_of, live_numbers, token_chunks, write_segment
from latelite.indexes.snapshot import OpenSegment

Ints = NDArray[np.int64]

FANOUT = 8
"""Segments of one tier that become one."""
LARGEST = 1 << 21
"""Tokens; a merge that would make a larger segment is left to `compact`."""


def next_merge(segments: Sequence[SegmentEntry]) -> slice | None:
    """The neighbouring segments to merge next; None when all is well."""
    for position, segment in enumerate(segments):
        if segment.live * 2 < segment.documents:
            return slice(position, position + 1)
    for tier in sorted({_tier(segment) for segment in segments}):
        first = len(segments)
        while first and _tier(segments[first - 1]) <= tier:
            first -= 1
        full = sum(_tier(segment) == tier for segment in segments[first:]) >= FANOUT
        if full and sum(segment.tokens for segment in segments[first:]) <= LARGEST:
            return slice(first, len(segments))
    return None


def _tier(segment: SegmentEntry) -> int:
    return int(math.log(segment.tokens, FANOUT))


def merge_segments(folder: Path, parents: Sequence[OpenSegment], *, quantise: bool) -> SegmentEntry | None:
    """Write the live documents of ``parents`` as one new segment into ``folder``; None when no document is live.

    ``quantise`` is False for an index that stores float32.
    """
    chosen = [live_numbers(parent.files, parent.live) for parent in parents]
    kept = [(parent.files, numbers) for parent, numbers in zip(parents, chosen, strict=True) if len(numbers)]
    if not kept:
        return None
    grid = _grid(kept) if quantise else None
    with_payloads = any(files.payloads is not None for files, _ in kept)
    return write_segment(
        folder,
        ids=(files.ids.raw(number).rstrip(b"\n") for files, numbers in kept for number in numbers.tolist()),
        payloads=(files.raw_payload(number) for files, numbers in kept for number in numbers.tolist())
        if with_payloads
        else None,
        lengths=np.concatenate([lengths_of(files, numbers) for files, numbers in kept]),
        tokens=chain.from_iterable(token_chunks(files, numbers, grid) for files, numbers in kept),
        dim=kept[0][0].dim,
        grid=grid,
    )


def _grid(kept: Sequence[tuple[Segment, Ints]]) -> Grid | None:
    """The grid that the segments share already, else the best for their vectors."""
    grids = [files.grid for files, _ in kept]
    if grids[0] is not None and all(grid == grids[0] for grid in grids):
        return grids[0]
    known = largest_grid(files for files, _ in kept)
    return best_grid(known, lambda: chain.from_iterable(token_chunks(files, numbers, None) for files, numbers in kept))


def largest_grid(segments: Iterable[Segment]) -> Grid | None:
    """The grid of the largest segment that has one."""
    coded = [segment for segment in segments if segment.grid is not None]
    return max(coded, key=lambda segment: segment.entry.tokens).grid if coded else None
