"""Candidates by centroids: what a query can tell about a document from the centroids of its tokens alone.

Products of query tokens with centroids are looked up, never computed again: a table (centroids, width) of bytes holds
them, its rows padded to a multiple of 32, since a row of 32 bytes is gathered in a nanosecond or two. For each query
token a byte counts up to the largest product, from one that nearly all documents have a centroid above.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.indexes.codebook import Codebook
from latelite.indexes.snapshot import Mask
from latelite.maxsim import ranges

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

TOGETHER = 8
"""Members in a row of `Lists.members`."""
_WIDTH = 32
_ROWS_AT_ONCE = 4096
"""Rows of members whose bytes are gathered at once: 1 MiB for 32 query tokens."""
_FOLDS = 16
"""Centroids that one maximum stands for, where there are enough of them."""


@dataclass(frozen=True)
class Lists:
    """The inverted lists of one segment, mapped."""

    codebook: str
    """Path of the codebook inside the index."""
    members: NDArray[np.unsignedinteger[Any]]
    """(rows, `TOGETHER`) centroids of each document, once each, document after document; the last row of a document
    is filled up by repeating a centroid."""
    members_offsets: Ints
    """(documents + 1,) first row of each document."""
    postings: NDArray[np.unsignedinteger[Any]]
    """(entries,) documents of each centroid, ascending, centroid after centroid."""
    postings_offsets: Ints
    """(centroids + 1,)"""


def lists_of(documents: Ints, centroids: Ints, count: int, codebook_size: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of `Lists` by name, in the smallest unsigned types that hold them.

    Args:
        documents, centroids: (entries,) every pair of a document and a centroid of it, once, ascending.
        count: documents; each has at least one pair.
    """
    lengths = np.bincount(documents, minlength=count)
    rows = -(-lengths // TOGETHER)
    row_ends = np.cumsum(rows)
    firsts = np.cumsum(lengths) - lengths
    # Place of each entry among the members; what is left over repeats the document's first centroid.
    members = np.repeat(centroids[firsts], rows * TOGETHER)
    members[np.arange(len(centroids)) + np.repeat((row_ends - rows) * TOGETHER - firsts, lengths)] = centroids
    yield "members", members.reshape(-1, TOGETHER).astype(np.min_scalar_type(codebook_size - 1))
    yield "members_offsets", np.append(0, row_ends)
    owners = documents.astype(np.min_scalar_type(count - 1))
    yield "postings", owners[np.argsort(centroids, kind="stable")]
    yield "postings_offsets", np.append(0, np.cumsum(np.bincount(centroids, minlength=codebook_size)))


class Closeness:
    """One query and one codebook: the table, and the centroids to look into."""

    def __init__(self, codebook: Codebook, query: Floats, n_probe: int) -> None:
        """``n_probe``: centroids that each query token looks into, at least; a few more where that is quicker."""
        tokens = len(query)
        self.width = -(-max(tokens, 1) // _WIDTH) * _WIDTH
        padded = np.zeros((self.width, query.shape[1]), np.float32)
        padded[:tokens] = query
        products, steps = codebook.closeness(padded)
        folded = _folded(products, n_probe)
        lowest, largest = folded.min(axis=0).astype(np.float32), folded.max(axis=0).astype(np.float32)
        scale = 255 / np.maximum(largest - lowest, 1)
        lifted = products.astype(np.float32)
        lifted -= lowest
        lifted *= scale
        np.maximum(lifted, 0, out=lifted)
        self.table = lifted.astype(np.uint8)
        self._counts = np.where(np.arange(self.width) < tokens, steps / scale, 0).astype(np.float32)
        self._base = float((lowest * steps)[:tokens].sum())
        self._probed, self._tokens = _nearest(products, folded, tokens, n_probe)

    def total(self, best: NDArray[np.uint8]) -> Floats:
        """(documents, width) largest bytes to (documents,) scores."""
        found: Floats = np.einsum("dt,t->d", best, self._counts)  # not a BLAS product, whose threads would wake up
        found += np.float32(self._base)
        return found

    def probe(self, lists: Lists, documents: int, mask: Mask | None) -> tuple[Ints, Floats]:
        """Documents that the probed centroids lead to, ascending, and their scores.

        A document that a query token did not reach counts with the worst of the centroids probed for it.
        """
        values = self.table[self._probed, self._tokens]
        order = np.argsort(values, kind="stable")
        values, probed, tokens = values[order], self._probed[order], self._tokens[order]
        floor = np.zeros(self.width, np.uint8)
        floor[tokens[::-1]] = values[::-1]
        starts = lists.postings_offsets[probed]
        lengths = lists.postings_offsets[probed + 1] - starts
        owners = lists.postings[ranges(starts, lengths)].astype(np.int64)
        best = np.zeros((documents, self.width), np.uint8)
        # Values ascend, and of several assignments to one place the last stays: the maximum.
        best.ravel()[owners * self.width + np.repeat(tokens, lengths)] = np.repeat(values - floor[tokens], lengths)
        touched = np.zeros(documents, np.bool_)
        touched[owners] = True
        if mask is not None:
            touched &= mask
        numbers = np.flatnonzero(touched)
        return numbers, self.total(best[numbers] + floor)

    def interact(self, lists: Lists, numbers: Ints) -> Floats:
        """MaxSim over all centroids of the documents ``numbers`` (Santhanam et al., PLAID, CIKM 2022, section 4.2)."""
        starts = lists.members_offsets[numbers]
        lengths = lists.members_offsets[numbers + 1] - starts
        ends = np.cumsum(lengths)
        scores = np.empty(len(numbers), np.float32)
        first = 0
        while first < len(numbers):
            base = int(ends[first] - lengths[first])
            last = max(int(np.searchsorted(ends, base + _ROWS_AT_ONCE, side="right")), first + 1)
            members = lists.members[ranges(starts[first:last], lengths[first:last])]
            # First members of all rows, then all second ones, ...: their maximum runs over long arrays.
            bytes_ = self.table.take(members.T.ravel(), axis=0, mode="clip").reshape(TOGETHER, -1)
            rows = bytes_.max(axis=0).reshape(-1, self.width)
            cuts = ends[first:last] - lengths[first:last] - base
            scores[first:last] = self.total(np.maximum.reduceat(rows, cuts, axis=0))
            first = last
        return scores


def _folded(products: NDArray[np.int32], n_probe: int) -> NDArray[np.int32]:
    """(sets, width) maxima over disjoint sets of centroids, at least ``n_probe`` sets or as many as centroids."""
    count, width = products.shape
    if count % _FOLDS or count // _FOLDS < n_probe:
        return products
    folded: NDArray[np.int32] = products.reshape(_FOLDS, -1).max(axis=0).reshape(-1, width)
    return folded


def _nearest(products: NDArray[np.int32], folded: NDArray[np.int32], tokens: int, n_probe: int) -> tuple[Ints, Ints]:
    """Numbers of centroid and query token of every product that is among the ``n_probe`` largest of its query token.

    The n-th largest maximum of disjoint sets is no larger than the n-th largest product. It is found faster, and
    comparing with it leaves at least ``n_probe``, seldom many more.
    """
    place = len(folded) - min(n_probe, len(folded))
    border = np.partition(folded, place, axis=0)[place]
    border[tokens:] = np.iinfo(np.int32).max  # no centroid for the padding
    found = np.flatnonzero(products >= border)  # much faster than nonzero of two axes
    width = products.shape[1]
    return found // width, found % width
