"""MaxSim, the score of late interaction: for each query token the best document token, summed over the query.

    score(Q, D) = sum_i max_j <q_i, d_j>        (Khattab and Zaharia, ColBERT, SIGIR 2020, equation 3)

Documents are ragged and lie one after another in a flat array ``tokens`` (all tokens, dim); document ``i`` is
``tokens[offsets[i]:offsets[i + 1]]``. The flat array is read in blocks of `BLOCK_TOKENS` tokens, wherever documents
begin and end, so int8 codes and memory-mapped arrays stay what they are.

A block is multiplied by the query, and the maxima of every eight neighbouring tokens are taken, in one run of ONNX
Runtime (`latelite.maxsim_graphs`), on the calling thread. A document's maximum is that of the eights that lie within it
and of the tokens that share an eight with a neighbour.

**Rounding.** float32 products may be rounded differently by where a row falls in a block, so two documents with equal
tokens can differ in the last bits of their scores (about 1e-7 per query token). The same call gives the same bits
every time; whoever ranks has to settle near-ties (`latelite.indexes.ranking` scores them one by one).

**int8 codes** are multiplied as integers. The query is rounded to 14 bits per query token for that, or to 7 where
``rough`` is asked for: on real encoders an error of about 1e-6 or 2e-4 of the score, where rounding the documents to
int8 made one of 1e-4 to 1e-3. The parts have 7 bits since two products of 8 bits with 8 overflow the 16-bit sums of
AVX2 (onnxruntime.ai, "Quantize ONNX models: when and why do I need to try U8U8"); 8 with 7 cannot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latelite.errors import InvalidVectorsError
from latelite.maxsim_graphs import GROUP, Kind, parts, session

BLOCK_TOKENS = 1920
"""Tokens per product, a multiple of `GROUP`; the products of 32 query tokens with them fill less than a quarter of a
MiB. 2,048 take 2 to 3 % longer."""

_DOCUMENTS_AT_ONCE = 1024
"""Documents whose maxima are held at once, a bound on memory."""
_STEPS = 63
"""A 7-bit part of a query component lies between -_STEPS - 1 and _STEPS."""
_HIGH = 128
"""Weight of the high part in 14 bits."""
_SAMPLE = 512
_BIAS, _DEVIATIONS = 1.5, 6.0
"""See `rough_margin`."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def maxsim(
    query: NDArray[Any],
    tokens: NDArray[Any],
    offsets: Ints,
    *,
    documents: Ints | None = None,
    quantisation: Floats | None = None,
    rough: bool = False,
) -> Floats:
    """Score documents of a flat store against one query.

    Args:
        query: (query tokens, dim) float32.
        tokens: (tokens, dim) float32, or int8 codes when ``quantisation`` is given; may be memory-mapped.
        offsets: (documents + 1,) int64, strictly increasing from 0 to ``len(tokens)``.
        documents: numbers of the documents to score; None scores all. Neighbours are read as one slice, so ascending
            numbers are fastest.
        quantisation: (2, dim) float32, the offset and the scale of each dimension: a token is ``offset + scale *
            code``. Both fold into the query, because <q, o + s*c> = <q, o> + <q*s, c>; no code is ever rescaled.
        rough: round the query to 7 bits, which takes a third less time for int8 codes; float32 is not affected.

    Returns:
        (documents,) float32 scores, in the order of ``documents``. A query without tokens scores 0 everywhere.

    Raises:
        InvalidVectorsError: shapes do not fit, or a document has no tokens (its maximum is undefined).
    """
    scores: Floats = maxsim_batch(
        [query], tokens, offsets, documents=documents, quantisation=quantisation, rough=rough
    )[0]
    return scores


def maxsim_batch(
    queries: Sequence[NDArray[Any]],
    tokens: NDArray[Any],
    offsets: Ints,
    *,
    documents: Ints | None = None,
    quantisation: Floats | None = None,
    rough: bool = False,
) -> Floats:
    """Score documents of a flat store against several queries while reading the store once.

    As `maxsim`; returns (queries, documents) float32. A row has the bits that `maxsim` gives for that query alone.
    """
    if tokens.ndim != 2:
        raise InvalidVectorsError(f"tokens must have shape (tokens, dim), not {tokens.shape}.")
    if len(offsets) < 1 or int(offsets[-1]) > len(tokens):
        raise InvalidVectorsError(f"offsets end at {int(offsets[-1]) if len(offsets) else None}, not {len(tokens)}.")
    if documents is None:
        lengths = np.diff(offsets)
        pieces: Iterable[NDArray[Any]] = [tokens[int(offsets[0]) : int(offsets[-1])]]
    else:
        lengths = offsets[documents + 1] - offsets[documents]
        pieces = _slices(tokens, offsets, documents)
    _check(lengths)
    dim = tokens.shape[1]
    folded = [_fold(query, dim, quantisation, rough) for query in queries]
    return _scores(folded, _Joined(pieces, dim, codes=quantisation is not None), lengths)


def maxsim_rows(
    query: NDArray[Any],
    tokens: NDArray[Any],
    rows: Ints,
    lengths: Ints,
    *,
    quantisation: Floats | None = None,
    rough: bool = False,
) -> Floats:
    """Score documents by some of their tokens: single rows of a flat store, document after document.

    Args:
        rows: (tokens to look at,) int64, numbers of rows of ``tokens``; a number beyond the last row means that one.
        lengths: (documents,) int64, how many of ``rows`` belong to each document.

    Other arguments, result and errors as `maxsim`.
    """
    folded = _fold(query, tokens.shape[1], quantisation, rough)
    _check(lengths)
    # Each document fills whole groups, so none is shared: its last row is repeated.
    groups = -(-lengths // GROUP)
    ends = np.cumsum(lengths)
    filled = np.minimum(ranges(ends - lengths, groups * GROUP), np.repeat(ends - 1, groups * GROUP))
    gathered = _Gathered(tokens, rows[filled], codes=quantisation is not None)
    scores: Floats = _scores([folded], gathered, groups * GROUP)[0]
    return scores


def maxsim_near_best(
    query: NDArray[Any],
    tokens: NDArray[Any],
    offsets: Ints,
    k: int,
    documents: Ints,
    rough: Floats,
    *,
    quantisation: Floats,
) -> tuple[Ints, Floats]:
    """Those of ``documents`` that may be among their ``k`` best, and their scores, from ``rough`` scores of all.

    Scoring roughly first takes two thirds of the time, for a few times ``k`` documents are left.

    Args:
        documents: (documents,) int64, ascending.
        rough: (documents,) float32, what `maxsim` with ``rough`` gives for them.

    Other arguments and errors as `maxsim`.

    Returns:
        (at least min(k, documents),) int64 of ``documents``, ascending, and their scores, float32.
    """
    if len(documents) > k:
        border = np.partition(rough, len(rough) - k)[len(rough) - k]
        documents = documents[rough >= border - rough_margin(query, tokens, quantisation)]
    return documents, maxsim(query, tokens, offsets, documents=documents, quantisation=quantisation)


def rough_margin(query: NDArray[Any], tokens: NDArray[Any], quantisation: Floats) -> float:
    """How far two documents' ``rough`` scores may be apart where their scores would be equal.

    Rounding adds an error, uniform within half a step, to each component of a query token, and so one of the deviation
    ``step / sqrt(12) * |code|`` to its products. The best product is chosen by its error, too, which lifts a document
    of many nearly equal tokens by up to `_BIAS` deviations a query token; for the rest the errors add up like random
    numbers, and `_DEVIATIONS` of their sum's are allowed for each of the two documents.

    Args:
        query: (query tokens, dim) float32.
        tokens: (tokens, dim) int8 codes, of which `_SAMPLE` or some more, evenly spread, say how long one is.
        quantisation: as `maxsim`.
    """
    codes = tokens[:: max(1, len(tokens) // _SAMPLE)].astype(np.float32)
    longest = float(np.sqrt(np.einsum("td,td->t", codes, codes).max(initial=0)))
    _, steps = _steps(query.astype(np.float64), quantisation, rough=True)
    deviations = steps * (longest / np.sqrt(12))
    return float(_BIAS * deviations.sum() + 2 * _DEVIATIONS * np.sqrt((deviations**2).sum()))


def maxsim_documents(query: NDArray[Any], documents: Sequence[NDArray[Any]]) -> Floats:
    """Score a list of documents, each (its tokens, dim), against one query (query tokens, dim).

    For vectors that are in memory anyway, as in reranking.

    Raises:
        InvalidVectorsError: shapes do not fit, or a document has no tokens.
    """
    dim = np.asarray(query).shape[-1]
    for number, document in enumerate(documents):
        if document.ndim != 2 or document.shape[1] != dim:
            raise InvalidVectorsError(f"Document {number} has shape {document.shape}; expected (tokens, {dim}).")
    lengths = np.fromiter((len(document) for document in documents), np.int64, len(documents))
    _check(lengths)
    scores: Floats = _scores([_fold(query, dim, None, rough=False)], _Joined(documents, dim, codes=False), lengths)[0]
    return scores


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """The numbers ``start, start + 1, ...`` of every range, ``length`` of them, one range after another."""
    ends = np.cumsum(lengths)
    steps = np.arange(int(ends[-1]) if len(ends) else 0)
    result: Ints = steps + np.repeat(starts - (ends - lengths), lengths)
    return result


def _check(lengths: Ints) -> None:
    if (lengths < 1).any():
        raise InvalidVectorsError(f"Document {int(np.argmin(lengths))} has no tokens; MaxSim is undefined for it.")


def _unsigned(codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """The same memory with 128 added to each code: that is flipping the top bit."""
    flipped = codes.view(np.uint8)
    np.bitwise_xor(flipped, np.uint8(128), out=flipped)
    return flipped


def _slices(tokens: NDArray[Any], offsets: Ints, documents: Ints) -> Iterator[NDArray[Any]]:
    """Token ranges of ``documents`` in order, ranges of neighbours joined."""
    if not len(documents):
        return
    breaks = np.flatnonzero(np.diff(documents) != 1) + 1
    starts = offsets[documents[np.concatenate(([0], breaks))]]
    stops = offsets[documents[np.concatenate((breaks, [len(documents)])) - 1] + 1]
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        yield tokens[start:stop]


@dataclass(frozen=True)
class _Query:
    """A query, ready to be multiplied by the rows of a store."""

    kind: Kind
    parts: tuple[NDArray[Any], ...]
    """(dim, query tokens) float32, or int8: the high and, for int14, the low part."""
    steps: NDArray[np.float64] | None
    """(query tokens,) what an integer product counts; None for float32."""
    constant: float
    """Added to every score."""

    @property
    def tokens(self) -> int:
        return int(self.parts[0].shape[1])

    @cached_property
    def _fed(self) -> dict[str, Any]:
        """What the graph is fed for every block alike."""
        return parts(self.kind, self.parts)

    def lowest(self, documents: int) -> NDArray[Any]:
        """(documents, query tokens), less than any product."""
        shape = documents, self.tokens
        if self.kind == "float32":
            return np.full(shape, -np.inf, np.float32)
        return np.full(shape, np.iinfo(np.int32).min, np.int32)

    def maxima(self, rows: NDArray[Any], owners: dict[str, Ints], start: NDArray[Any]) -> NDArray[Any]:
        """The output of `latelite.maxsim_graphs.graph`."""
        fed = {**self._fed, **owners, "tokens": rows.reshape(-1, GROUP, rows.shape[1]), "start": start}
        (maxima,) = session(self.kind).run(["maxima"], fed)
        found: NDArray[Any] = maxima
        return found

    def total(self, best: NDArray[Any]) -> NDArray[np.float64]:
        """(documents, query tokens) maxima to (documents,) scores."""
        # einsum and not a BLAS product, whose threads would wake up.
        sums = best.sum(axis=1, dtype=np.float64) if self.steps is None else np.einsum("dt,t->d", best, self.steps)
        total: NDArray[np.float64] = sums + self.constant
        return total


def _fold(query: NDArray[Any], dim: int, quantisation: Floats | None, rough: bool) -> _Query:
    """Check the query and fold the quantisation of the store into it."""
    query = np.asarray(query, np.float32)
    if query.ndim != 2 or query.shape[1] != dim:
        raise InvalidVectorsError(f"The query has shape {query.shape}; expected (query tokens, {dim}).")
    if quantisation is None:
        return _Query("float32", (np.ascontiguousarray(query.T),), None, 0.0)
    exact = query.astype(np.float64)
    scaled, steps = _steps(exact, quantisation, rough)
    whole = np.rint(scaled / steps[:, None]).astype(np.int32)
    # The graph multiplies code + 128, which is unsigned.
    constant = float((exact @ quantisation[0].astype(np.float64)).sum() - 128 * (whole.sum(axis=1) * steps).sum())
    columns = np.ascontiguousarray(whole.T)
    if rough:
        return _Query("int7", (columns.astype(np.int8),), steps, constant)
    high = (columns + _HIGH // 2) // _HIGH
    low = columns - _HIGH * high
    return _Query("int14", (high.astype(np.int8), low.astype(np.int8)), steps, constant)


def _steps(
    query: NDArray[np.float64], quantisation: Floats, rough: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The query with the scales of the codes, and of each of its tokens what an integer counts in it."""
    scaled = query * quantisation[1].astype(np.float64)
    widest = np.abs(scaled).max(axis=1, initial=0)
    return scaled, np.where(widest > 0, widest, 1) / (_STEPS if rough else _STEPS * _HIGH)


class _Joined:
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
                # Flipping the top bit adds 128.
                signed = piece[start : start + size].view(np.uint8)
                np.bitwise_xor(signed, np.uint8(128), out=self._buffer[filled : filled + size])
            elif size == rows and start + wanted <= len(piece) and _is_plain(piece):
                return piece[start : start + wanted]  # no copy
            else:
                self._buffer[filled : filled + size] = piece[start : start + size]
            filled += size
        return self._buffer[:wanted]


class _Gathered:
    """Hands out single rows of ``tokens``, a multiple of `GROUP`, as `_Joined` does."""

    def __init__(self, tokens: NDArray[Any], rows: Ints, *, codes: bool) -> None:
        self._tokens, self._rows, self._codes = tokens, rows, codes
        self._position = 0
        self._buffer = np.empty((min(BLOCK_TOKENS, len(rows)), tokens.shape[1]), tokens.dtype)

    def take(self, rows: int) -> NDArray[Any]:
        block, start = self._buffer[:rows], self._position
        self._position += rows
        np.take(self._tokens, self._rows[start : start + rows], axis=0, out=block, mode="clip")
        return _unsigned(block) if self._codes else block


def _is_plain(piece: NDArray[Any]) -> bool:
    return piece.dtype == np.float32 and piece.flags.c_contiguous


def _scores(queries: Sequence[_Query], rows: _Joined | _Gathered, lengths: Ints) -> Floats:
    """(queries, documents): score the documents whose tokens are ``rows``, cut by ``lengths`` (documents,)."""
    scores = np.zeros((len(queries), len(lengths)), np.float32)
    asking = [number for number, query in enumerate(queries) if query.tokens]
    if not asking:
        return scores
    for first in range(0, len(lengths), _DOCUMENTS_AT_ONCE):
        part = lengths[first : first + _DOCUMENTS_AT_ONCE]
        plan, cuts = _plan(part)
        lowest = [queries[number].lowest(max(step.documents for step in plan) + 1) for number in asking]
        maxima: list[list[NDArray[Any]]] = [[] for _ in asking]
        for step in plan:
            block = rows.take(step.tokens)
            for number, start, found in zip(asking, lowest, maxima, strict=True):
                found.append(queries[number].maxima(block, step.owners, start[: step.documents + 1])[:-1])
        for number, found in zip(asking, maxima, strict=True):
            best = np.maximum.reduceat(np.concatenate(found), cuts, axis=0)
            scores[number, first : first + len(part)] = queries[number].total(best)
    return scores


class _Step(NamedTuple):  # made in less time than a frozen dataclass, for every block of every query
    """One block: which tokens belong to which document."""

    tokens: int
    documents: int
    owners: dict[str, Ints]
    """Inputs of the graph by name. Documents are counted from the block's first; -1, the last row, is nobody's."""


def _plan(lengths: Ints) -> tuple[list[_Step], Ints]:
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
    owners = np.repeat(numbers, np.diff(-(-ends // GROUP), prepend=0))
    groups = BLOCK_TOKENS // GROUP
    owners -= np.repeat(firsts, groups)[: len(owners)]
    # Where a document ends within a group, the group is shared, and its later tokens are the next one's.
    inside = ends[ends % GROUP > 0]
    shared, places = np.unique(inside // GROUP, return_inverse=True)
    ended = np.bincount(places * GROUP + inside % GROUP, minlength=len(shared) * GROUP).reshape(-1, GROUP)
    token_owners = owners[shared, None] + ended.cumsum(axis=1)
    if total % GROUP:
        token_owners[-1, total % GROUP :] = -1
    owners[shared] = -1
    blocks = shared // groups
    shared -= blocks * groups
    borders = np.searchsorted(blocks, np.arange(len(begins) + 1)).tolist()
    steps = [
        _Step(
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
