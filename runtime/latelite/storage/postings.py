"""Lexical postings as a sidecar of segments (`latelite.lexical`): written with a segment, merged in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Mask
from latelite.lexical import Postings, build_postings, merge_postings
from latelite.storage.segments import Segment, SegmentWriter
from latelite.storage.snapshot import OpenSegment, Recent

PREFIX = "postings"
_MERGED_AT_ONCE = 1 << 19
"""Postings that a merge holds in memory."""


def add_postings(writer: SegmentWriter, terms: Sequence[NDArray[np.int32]], vocabulary_size: int) -> None:
    """Write the postings of documents with these terms, in the order of the segment."""
    postings = build_postings(terms, vocabulary_size)
    writer.add_arrays(PREFIX, ((field.name, getattr(postings, field.name)) for field in fields(Postings)))


def open_postings(part: OpenSegment | Recent, vocabulary_size: int) -> Postings | None:
    """The postings of one part of a snapshot, mapped; None where the index has no texts.

    Those of recent documents are built here: keep them as long as the part.
    """
    if isinstance(part, Recent):
        terms = [each for each in part.terms if each is not None]
        return build_postings(terms, vocabulary_size) if len(terms) == len(part) else None
    return _of_segment(part.files)


def _of_segment(files: Segment) -> Postings | None:
    arrays = files.arrays
    if f"{PREFIX}.lengths" not in arrays.layout:
        return None
    return Postings(
        arrays.array(f"{PREFIX}.offsets", (-1,), np.int64),
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
    offsets = np.zeros(len(parts[0][0].offsets), np.int64)
    for postings, live in parts:
        kept = np.ones(len(postings.documents), np.bool_) if live is None else live[postings.documents]
        offsets += np.append(0, np.cumsum(kept))[postings.offsets]
    total = int(offsets[-1])
    cuts = _cuts(np.sum([postings.offsets for postings, _ in parts], axis=0))
    writer.writer.add_whole(f"{PREFIX}.offsets", offsets)
    for name, dtype in (("documents", np.int32), ("frequencies", np.uint8)):
        chunks = (getattr(merge_postings([_terms(part, cut) for part in parts]), name) for cut in cuts)
        writer.writer.add(f"{PREFIX}.{name}", chunks, shape=(total,), dtype=dtype)
    lengths = [postings.lengths if live is None else postings.lengths[live] for postings, live in parts]
    writer.writer.add_whole(f"{PREFIX}.lengths", np.concatenate(lengths))


def _cuts(offsets: NDArray[np.int64]) -> list[slice]:
    """Ranges of terms that have about `_MERGED_AT_ONCE` postings each."""
    found, first, last = [], 0, len(offsets) - 1
    while first < last:
        stop = int(np.searchsorted(offsets, offsets[first] + _MERGED_AT_ONCE, side="right")) - 1
        stop = min(max(stop, first + 1), last)
        found.append(slice(first, stop))
        first = stop
    return found


def _terms(part: tuple[Postings, Mask | None], cut: slice) -> tuple[Postings, Mask | None]:
    """The postings of a range of terms."""
    postings, live = part
    offsets = postings.offsets[cut.start : cut.stop + 1]
    inside = slice(int(offsets[0]), int(offsets[-1]))
    few = Postings(offsets - offsets[0], postings.documents[inside], postings.frequencies[inside], postings.lengths)
    return few, live


def verify_postings(files: Segment) -> None:
    """Raise IndexCorruptError when the postings of a segment do not fit each other or its documents."""
    postings = _of_segment(files)
    if postings is not None:
        postings.check()
