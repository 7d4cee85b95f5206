"""The blocks that MaxSim is computed in: rows of a flat store in the form that a graph takes, and whose they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Ints
from latelite.maxsim.graphs import GROUP

BLOCK_TOKENS = 1920
"""Tokens per product, a multiple of `GROUP`; the products of 32 query tokens with them fill less than a quarter of a
MiB. 2,048 take 2 to 3 % longer."""


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """The numbers ``start, start + 1, ...`` of every range, ``length`` of them, one range after another."""
    ends = np.cumsum(lengths)
    steps = np.arange(int(ends[-1]) if len(ends) else 0)
    result: Ints = steps + np.repeat(starts - (ends - lengths), lengths)
    return result


class Joined:
    """Hands out the rows of ``pieces`` in order, as blocks that a graph takes: float32, or codes made unsigned."""

    def __init__(self, pieces: Iterable[NDArray[Any]], dim: int, *, codes: bool) -> None:
        self._pieces = iter(pieces)
        self._piece: NDArray[Any] = np.empty((0, dim), np.float32)
        self._position = 0
        self._codes = codes
        self._buffer: NDArray[Any] = np.zeros((BLOCK_TOKENS, dim), np.uint8 if codes else np.float32)

    def take(self, rows: int) -> NDArray[Any]:
        """The next ``rows``, with more rows of any content up to a multiple of `GROUP`; valid until the next call."""
        wanted, filled = -(-rows // GROUP) * GROUP, 0
        while filled < rows:
            if self._position == len(self._piece):
                self._piece, self._position = next(self._pieces), 0
                continue
            piece, start = self._piece, self._position
            size = min(rows - filled, len(piece) - start)
            self._position += size
            if self._codes:
                _unsigned(piece[start : start + size], self._buffer[filled : filled + size])
            elif size == rows and start + wanted <= len(piece) and _is_plain(piece):
                return piece[start : start + wanted]  # no copy
            else:
                self._buffer[filled : filled + size] = piece[start : start + size]
            filled += size
        return self._buffer[:wanted]


class Gathered:
    """Hands out single rows of ``tokens``, a multiple of `GROUP`, as `Joined` does."""

    def __init__(self, tokens: NDArray[Any], rows: Ints, *, codes: bool) -> None:
        self._tokens, self._rows, self._codes = tokens, rows, codes
        self._position = 0
        self._buffer = np.empty((min(BLOCK_TOKENS, len(rows)), tokens.shape[1]), tokens.dtype)

    def take(self, rows: int) -> NDArray[Any]:
        block, start = self._buffer[:rows], self._position
        self._position += rows
        np.take(self._tokens, self._rows[start : start + rows], axis=0, out=block, mode="clip")
        return _unsigned(block, block.view(np.uint8)) if self._codes else block


def _is_plain(piece: NDArray[Any]) -> bool:
    return piece.dtype == np.float32 and piece.flags.c_contiguous


def _unsigned(codes: NDArray[np.int8], out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``out``, with 128 added to each code: that is flipping the top bit."""
    return np.bitwise_xor(codes.view(np.uint8), np.uint8(128), out=out)


class Block(NamedTuple):  # made in less time than a frozen dataclass, for every block of every query
    """One block: which tokens belong to which document."""

    tokens: int
    documents: int
    owners: dict[str, Ints]
    """Inputs of the graph by name. Documents are counted from the block's first; -1, the last row, is nobody's."""


def plan(lengths: Ints) -> tuple[list[Block], Ints]:
    """Cut documents that lie one after another into blocks.

    Returns the blocks, and where each document begins in the concatenation of their maxima: one that lies in several
    blocks has a row of each.
    """
    ends = np.cumsum(lengths)
    total = int(ends[-1])
    begins = np.arange(0, total, BLOCK_TOKENS)
    sizes = np.minimum(total - begins, BLOCK_TOKENS)
    firsts = np.searchsorted(ends, begins, side="right")
    counts = np.searchsorted(ends, begins + sizes - 1, side="right") - firsts + 1
    numbers = np.arange(len(lengths))
    again = firsts[begins > (ends - lengths)[firsts]]
    cuts = numbers + np.searchsorted(again, numbers)

    # As many groups begin in a document as multiples of GROUP lie in it.
    begun = -(-ends // GROUP)
    begun[1:] -= begun[:-1].copy()
    owners = np.repeat(numbers, begun)
    groups = BLOCK_TOKENS // GROUP
    owners -= np.repeat(firsts, groups)[: len(owners)]
    shared, token_owners = _shared(owners, ends)
    owners[shared] = -1
    blocks = shared // groups
    shared -= blocks * groups
    borders = np.searchsorted(blocks, np.arange(len(begins) + 1)).tolist()
    steps = [
        Block(
            size,
            count,
            {
                "owners": owners[number * groups : (number + 1) * groups, None],
                "shared": shared[borders[number] : borders[number + 1]],
                "token_owners": token_owners[borders[number] : borders[number + 1], :, None],
            },
        )
        for number, (size, count) in enumerate(zip(sizes.tolist(), counts.tolist(), strict=True))
    ]
    return steps, cuts


def _shared(owners: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Groups that documents share, and the document of each of their tokens: (s,) and (s, GROUP).

    Args:
        owners: (groups,) the document that each group begins in.
        ends: (documents,) tokens of all documents up to each.
    """
    # Where a document ends within a group, the group is shared, and its later tokens are the next one's.
    inside = ends[ends % GROUP > 0]
    if not len(inside):
        return np.empty(0, np.int64), np.empty((0, GROUP), np.int64)
    shared, places = np.unique(inside // GROUP, return_inverse=True)
    ended = np.bincount(places * GROUP + inside % GROUP, minlength=len(shared) * GROUP).reshape(-1, GROUP)
    token_owners = owners[shared, None] + ended.cumsum(axis=1)
    if ends[-1] % GROUP:
        token_owners[-1, ends[-1] % GROUP :] = -1
    return shared, token_owners
