"""Lexical postings as a sidecar of segments (`latelite.lexical`): written with a segment, merged in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Mask
from latelite.lexical import Postings, TermIds, as_offsets, build_postings, merge_postings
from latelite.storage.segments import Segment, SegmentWriter
from latelite.storage.snapshot import OpenSegment, Recent

PREFIX = "postings"
_MERGED_AT_ONCE = 1 << 19
"""Postings that a merge holds in memory."""


def add_postings(writer: SegmentWriter, terms: Sequence[TermIds]) -> None:
    """Write the postings of documents with these terms, in the order of the segment."""
    postings = build_postings(terms)
    writer.add_arrays(PREFIX, ((field.name, getattr(postings, field.name)) for field in fields(Postings)))


def open_postings(part: OpenSegment | Recent) -> Postings | None:
    """The postings of one part of a snapshot, mapped; None where the index has no texts.

    Those of recent documents are built here: keep them as long as the part.
    """
    if isinstance(part, Recent):
        terms = [each for each in part.terms if each is not None]
        return build_postings(terms) if len(terms) == len(part) else None
    return _of_segment(part.files)


def _of_segment(files: Segment) -> Postings | None:
    arrays = files.arrays
    if f"{PREFIX}.lengths" not in arrays.layout:
        return None
    return Postings(
        arrays.array(f"{PREFIX}.terms", (-1,), np.uint32),
        arrays.array(f"{PREFIX}.offsets", (-1,), np.uint32),
        arrays.array(f"{PREFIX}.documents", (-1,), np.int32),
        arrays.array(f"{PREFIX}.frequencies", (-1,), np.uint8),
        arrays.array(f"{PREFIX}.lengths", (len(files),), np.int32),
    )


def add_merged(writer: SegmentWriter, parents: Sequence[OpenSegment]) -> None:
    """Write the postings of the live documents of ``parents``, a range of terms in memory at a time.

    Raises:
        IndexCorruptError: the postings of a parent do not have their checksums.
    """
    parts: list[tuple[Postings, Mask | None]] = []
    for parent in parents:
        postings = _of_segment(parent.files)
        if postings is None:
            return
        parent.files.arrays.check(*(f"{PREFIX}.{field.name}" for field in fields(Postings)))
        postings.check()
        parts.append((postings, parent.live))
    all_terms = np.unique(np.concatenate([postings.terms for postings, _ in parts]))
    counts = np.zeros(len(all_terms), np.int64)
    cost = np.zeros(len(all_terms), np.int64)
    for postings, live in parts:
        places = np.searchsorted(all_terms, postings.terms)
        cost[places] += np.diff(postings.offsets)
        counts[places] += _live_postings(postings, live)
    found = counts > 0
    cuts = _cuts(all_terms, cost)
    writer.writer.add_whole(f"{PREFIX}.terms", all_terms[found])
    writer.writer.add_whole(f"{PREFIX}.offsets", as_offsets(np.append(0, np.cumsum(counts[found]))))
    for name, dtype in (("documents", np.int32), ("frequencies", np.uint8)):
        chunks = (getattr(merge_postings([_terms(part, cut) for part in parts]), name) for cut in cuts)
        writer.writer.add(f"{PREFIX}.{name}", chunks, shape=(int(counts.sum()),), dtype=dtype)
    lengths = [postings.lengths if live is None else postings.lengths[live] for postings, live in parts]
    writer.writer.add_whole(f"{PREFIX}.lengths", np.concatenate(lengths))


def _live_postings(postings: Postings, live: Mask | None) -> NDArray[np.int64]:
    """(terms,) live documents that have each term."""
    if live is None or not len(postings.terms):
        return np.diff(postings.offsets).astype(np.int64)
    return np.add.reduceat(live[postings.documents], postings.offsets[:-1], dtype=np.int64)


def _cuts(terms: TermIds, cost: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ranges of terms, first and one past the last, that have about `_MERGED_AT_ONCE` postings each."""
    if not len(terms):
        return []
    firsts = np.flatnonzero(np.diff(np.cumsum(cost) // _MERGED_AT_ONCE, prepend=-1))
    bounds = [*terms[firsts].tolist(), int(terms[-1]) + 1]
    return list(pairwise(bounds))


def _terms(part: tuple[Postings, Mask | None], cut: tuple[int, int]) -> tuple[Postings, Mask | None]:
    """The postings of a range of terms."""
    postings, live = part
    first = int(np.searchsorted(postings.terms, np.uint32(cut[0])))
    last = int(np.searchsorted(postings.terms, np.uint32(cut[1] - 1), side="right"))
    offsets = postings.offsets[first : last + 1]
    inside = slice(int(offsets[0]), int(offsets[-1]))
    few = Postings(
        postings.terms[first:last],
        offsets - offsets[0],
        postings.documents[inside],
        postings.frequencies[inside],
        postings.lengths,
    )
    return few, live


def verify_postings(files: Segment) -> None:
    """Raise IndexCorruptError when the postings of a segment do not fit each other or its documents."""
    postings = _of_segment(files)
    if postings is not None:
        postings.check()
