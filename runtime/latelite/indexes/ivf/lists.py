"""Inverted lists of token centroids: which centroids a document has, by which tokens, and which documents a centroid.

A *member* is one centroid of one document, however many of the document's tokens belong to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats, Ints, Unsigned
from latelite.indexes.ivf.codebook import Codebook, Means, assign
from latelite.storage.segments import BLOCK_TOKENS, Segment

TOGETHER = 8
"""Members in a row of `Lists.members`."""
_DOCUMENTS_AT_ONCE = 4096
"""Documents whose members are put in their places at once."""


@dataclass(frozen=True)
class Lists:
    """The inverted lists of one segment, mapped."""

    name: str
    """Checksum of the codebook; segments of one codebook share the work of a query."""
    codebook: Codebook
    members: Unsigned
    """(rows, `TOGETHER`) centroids of each document, once each, document after document; the last row of a document
    is filled up by repeating a centroid."""
    members_offsets: Ints
    """(documents + 1,) first row of each document."""
    tokens: Unsigned
    """(tokens,) number of each token inside its document, member after member."""
    tokens_offsets: Unsigned
    """(rows * `TOGETHER` + 1,) first of `tokens` of each member; what fills up a row has none."""
    postings: Unsigned
    """(entries,) documents of each centroid, ascending, centroid after centroid."""
    postings_offsets: Ints
    """(centroids + 1,)"""


@dataclass(frozen=True)
class Members:
    """The members of a segment, by document and centroid."""

    documents: Unsigned
    """(members,) ascending."""
    centroids: Unsigned
    """(members,) ascending within a document."""
    sizes: Unsigned
    """(members,) tokens of each, at least one."""
    tokens: Unsigned
    """(tokens,) number inside its document, member after member, ascending in each."""


def members_of(segment: Segment, centroids: Floats, means: Means | None = None) -> Members:
    """Assign every token of ``segment`` to its centroid; all tokens are added to ``means``.

    What is kept of a block is a few bytes a token, in the smallest unsigned types that hold it.
    """
    longest = int(np.diff(segment.offsets).max())
    tokens = segment.entry.tokens
    # As large as they can become; the system gives memory to what is written only.
    documents = np.empty(tokens, np.min_scalar_type(len(segment) - 1))
    chosen = np.empty(tokens, np.min_scalar_type(len(centroids) - 1))
    sizes = np.empty(tokens, np.min_scalar_type(longest))
    numbers = np.empty(tokens, np.min_scalar_type(longest - 1))
    count = first = 0
    while first < len(segment):
        # Whole documents, about a block of tokens at a time.
        start = int(segment.offsets[first])
        last = max(int(np.searchsorted(segment.offsets, start + BLOCK_TOKENS, side="right")) - 1, first + 1)
        stop = int(segment.offsets[last])
        nearest = []
        for position in range(start, stop, BLOCK_TOKENS):
            block = segment.decoded(position, min(position + BLOCK_TOKENS, stop))
            nearest.append(assign(block, centroids))
            if means is not None:
                means.add(block, nearest[-1])
        segment.arrays.release()
        owners = np.repeat(np.arange(first, last), np.diff(segment.offsets[first : last + 1]))
        keys = (owners << 32) | np.concatenate(nearest)
        order = np.argsort(keys, kind="stable")
        numbers[start:stop] = order - (segment.offsets[owners] - start)  # sorting keeps documents where they are
        keys, found = np.unique(keys[order], return_counts=True)
        part = slice(count, count + len(keys))
        documents[part], chosen[part], sizes[part] = keys >> 32, keys & 0xFFFFFFFF, found
        count, first = part.stop, last
    return Members(documents[:count], chosen[:count], sizes[:count], numbers)


def arrays_of(members: Members, documents: int, centroids: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of `Lists` by name, in the smallest unsigned types that hold them.

    Args:
        documents, centroids: how many there are; each document has at least one member.
    """
    lengths = np.bincount(members.documents, minlength=documents)
    rows = -(-lengths // TOGETHER)
    row_ends = np.cumsum(rows)
    member_ends = np.cumsum(lengths)
    firsts = member_ends - lengths
    shifts = (row_ends - rows) * TOGETHER - firsts
    # What is left over of a document's last row repeats its first centroid, without tokens.
    filled = np.repeat(members.centroids[firsts], rows * TOGETHER)
    ends = np.zeros(len(filled) + 1, np.min_scalar_type(len(members.tokens)))
    for first in range(0, documents, _DOCUMENTS_AT_ONCE):
        some = slice(first, first + _DOCUMENTS_AT_ONCE)
        part = slice(int(firsts[first]), int(member_ends[some][-1]))
        places = np.arange(part.start, part.stop) + np.repeat(shifts[some], lengths[some])
        filled[places] = members.centroids[part]
        ends[places + 1] = members.sizes[part]
    yield "members", filled.reshape(-1, TOGETHER)
    yield "members_offsets", np.append(0, row_ends)
    yield "tokens", members.tokens
    yield "tokens_offsets", np.cumsum(ends, dtype=ends.dtype, out=ends)
    yield "postings", members.documents[np.argsort(members.centroids, kind="stable")]
    yield "postings_offsets", np.append(0, np.cumsum(np.bincount(members.centroids, minlength=centroids)))
