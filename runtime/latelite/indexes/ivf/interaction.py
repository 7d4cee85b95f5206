"""Candidates by centroids: what a query can tell about a document from the centroids of its tokens alone.

Products of query tokens with centroids are looked up, never computed again: a table (centroids, width) of bytes holds
them, its rows padded to a multiple of 32, since a row of 32 bytes is gathered in a nanosecond or two. For each query
token a byte counts up to the largest product, from one that nearly all documents have a centroid above.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Bytes, Floats, Ints, Mask
from latelite.indexes.ivf.codebook import Codebook
from latelite.indexes.ivf.lists import TOGETHER, Lists
from latelite.maxsim.blocks import ranges

_WIDTH = 32
_BYTES_AT_ONCE = 1 << 18
"""Bytes that are gathered for members at once."""
_POSTINGS_AT_ONCE = 16_384
"""Postings that are followed at once."""
_CENTROIDS_AT_ONCE = 1024
"""Centroids whose products are float32 at once: few enough to stay in a core's cache."""
_FOLDS = 16
"""Centroids that one maximum stands for, where there are enough of them."""

_MARGIN = 6
"""How many bytes worse than the best of its document a centroid may be for its tokens to be looked at. On SciFact 0
leaves 15 % of the tokens, 8 leave 18 %, 12 leave 20 %; recall@10 is .001 lower with 4 than with 12."""


@dataclass(frozen=True)
class _Part:
    """Some of the documents that are looked at."""

    documents: slice
    rows: Ints
    """(rows,) of `Lists.members`, document after document."""
    lengths: Ints
    """(documents,) rows of each."""
    cuts: Ints
    """(documents,) first row of each."""
    values: Bytes
    """(`TOGETHER`, rows, width), from the table."""


class Closeness:
    """One query and one codebook: the table, and the centroids to look into."""

    def __init__(self, codebook: Codebook, query: Floats, n_probe: int) -> None:
        """``n_probe``: centroids that each query token looks into, at least; a few more where that is quicker."""
        self._columns = len(query)
        self.width = -(-max(self._columns, 1) // _WIDTH) * _WIDTH
        products, steps = codebook.closeness(query)
        folded = _folded(products, n_probe)
        lowest, largest = folded.min(axis=0).astype(np.float32), folded.max(axis=0).astype(np.float32)
        scale = 255 / np.maximum(largest - lowest, 1)
        self.table = np.zeros((len(products), self.width), np.uint8)
        for start in range(0, len(products), _CENTROIDS_AT_ONCE):
            lifted = products[start : start + _CENTROIDS_AT_ONCE].astype(np.float32)
            lifted -= lowest
            lifted *= scale
            np.maximum(lifted, 0, out=lifted)
            self.table[start : start + _CENTROIDS_AT_ONCE, : self._columns] = lifted
        self._counts = np.zeros(self.width, np.float32)
        self._counts[: self._columns] = steps / scale
        self._base = float((lowest * steps).sum())
        self._probed, self._tokens = _nearest(products, folded, n_probe)

    def total(self, best: NDArray[np.uint8]) -> Floats:
        """(documents, width, or as many as query tokens) largest bytes to (documents,) scores."""
        counts = self._counts[: best.shape[1]]
        found: Floats = np.einsum("dt,t->d", best, counts)  # not a BLAS product, whose threads would wake up
        found += np.float32(self._base)
        return found

    def probe(self, lists: Lists, documents: int, mask: Mask | None) -> tuple[Ints, Floats]:
        """Documents that the probed centroids lead to, ascending, and their scores.

        A document that a query token did not reach counts with the worst of the centroids probed for it.
        """
        values = self.table[self._probed, self._tokens]
        order = np.argsort(values, kind="stable")
        values, probed, tokens = values[order], self._probed[order], self._tokens[order]
        width = self._columns
        floor = np.zeros(width, np.uint8)
        floor[tokens[::-1]] = values[::-1]
        values -= floor[tokens]
        starts = lists.postings_offsets[probed]
        lengths = lists.postings_offsets[probed + 1] - starts
        best = np.zeros((documents, width), np.uint8)
        touched = np.zeros(documents, np.bool_)
        # Values ascend, and of several assignments to one place the last stays: the maximum.
        for first, last in _cuts(np.cumsum(lengths), _POSTINGS_AT_ONCE):
            part = slice(first, last)
            owners = lists.postings[ranges(starts[part], lengths[part])].astype(np.int64)
            touched[owners] = True
            owners *= width
            owners += np.repeat(tokens[part], lengths[part])
            best.ravel()[owners] = np.repeat(values[part], lengths[part])
        if mask is not None:
            touched &= mask
        numbers = np.flatnonzero(touched)
        best += floor
        return numbers, self.total(best if len(numbers) == documents else best[numbers])

    def interact(self, lists: Lists, numbers: Ints) -> tuple[Floats, Bytes]:
        """MaxSim over all centroids of the documents ``numbers`` (Santhanam et al., PLAID, CIKM 2022, section 4.2).

        Returns:
            (documents,) scores, and the bytes that make them, (documents, width): `near` wants those.
        """
        best = np.empty((len(numbers), self.width), np.uint8)
        for part in self._parts(lists, numbers):
            # First members of all rows, then all second ones, ...: their maximum runs over long arrays.
            best[part.documents] = np.maximum.reduceat(part.values.max(axis=0), part.cuts, axis=0)
        return self.total(best), best

    def near(self, lists: Lists, numbers: Ints, best: Bytes) -> tuple[Ints, Ints]:
        """Tokens that may be the best of their document for some query token.

        Their centroid is the document's best for that query token, or at most `_MARGIN` bytes worse.

        Args:
            numbers: (documents,) ascending.
            best: (documents, width), of `interact`.

        Returns:
            (tokens,) number of each inside its document, document after document; (documents,) how many each has. A
            document that no query token is close to has none.
        """
        found, counts = [], []
        for part in self._parts(lists, numbers):
            # Bytes of 0 say nothing; the padding has no others.
            least = np.maximum(best[part.documents], _MARGIN + 1) - _MARGIN
            kept = (part.values >= np.repeat(least, part.lengths, axis=0)).view(np.uint64)
            some = kept[..., 0]
            for word in range(1, kept.shape[2]):
                some = some | kept[..., word]
            row, column = np.divmod(np.flatnonzero((some != 0).T), TOGETHER)
            members = part.rows[row] * TOGETHER + column
            firsts = lists.tokens_offsets[members].astype(np.int64)
            sizes = lists.tokens_offsets[members + 1] - firsts
            owners = np.repeat(np.arange(len(part.lengths)), part.lengths)[row]
            counts.append(np.bincount(owners, sizes, minlength=len(part.lengths)).astype(np.int64))
            found.append(lists.tokens.take(ranges(firsts, sizes), mode="clip").astype(np.int64))
        return np.concatenate(found), np.concatenate(counts)

    def _parts(self, lists: Lists, numbers: Ints) -> Iterator[_Part]:
        """The members of the documents ``numbers``, and their bytes, about `_ROWS_AT_ONCE` rows at a time."""
        starts = lists.members_offsets[numbers]
        lengths = lists.members_offsets[numbers + 1] - starts
        ends = np.cumsum(lengths)
        for first, last in _cuts(ends, _BYTES_AT_ONCE // (TOGETHER * self.width)):
            part = slice(first, last)
            rows = ranges(starts[part], lengths[part])
            values = self.table.take(lists.members[rows].T.ravel(), axis=0, mode="clip")
            yield _Part(
                documents=part,
                rows=rows,
                lengths=lengths[part],
                cuts=ends[part] - lengths[part] - (ends[first] - lengths[first]),
                values=values.reshape(TOGETHER, -1, self.width),
            )


def _cuts(ends: Ints, wanted: int) -> Iterator[tuple[int, int]]:
    """Cut lists that end at ``ends``, one after another, into parts of at most ``wanted`` entries, or of one list."""
    first, base = 0, 0
    while first < len(ends):
        last = max(int(np.searchsorted(ends, base + wanted, side="right")), first + 1)
        yield first, last
        first, base = last, int(ends[last - 1])


def _folded(products: NDArray[np.int32], n_probe: int) -> NDArray[np.int32]:
    """(sets, width) maxima over disjoint sets of centroids, at least ``n_probe`` sets or as many as centroids."""
    count, width = products.shape
    if count % _FOLDS or count // _FOLDS < n_probe:
        return products
    folded: NDArray[np.int32] = products.reshape(_FOLDS, -1).max(axis=0).reshape(-1, width)
    return folded


def _nearest(products: NDArray[np.int32], folded: NDArray[np.int32], n_probe: int) -> tuple[Ints, Ints]:
    """Numbers of centroid and query token of every product that is among the ``n_probe`` largest of its query token.

    The n-th largest maximum of disjoint sets is no larger than the n-th largest product. It is found faster, and
    comparing with it leaves at least ``n_probe``, seldom many more.
    """
    place = len(folded) - min(n_probe, len(folded))
    border = np.partition(folded, place, axis=0)[place]
    found = np.flatnonzero(products >= border)  # much faster than nonzero of two axes
    width = products.shape[1]
    return found // width, found % width
