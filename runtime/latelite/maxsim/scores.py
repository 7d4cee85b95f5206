"""MaxSim, the score of late interaction: for each query token the best document token, summed over the query.

    score(Q, D) = sum_i max_j <q_i, d_j>        (Khattab and Zaharia, ColBERT, SIGIR 2020, equation 3)

Documents are ragged and lie one after another in a flat array ``tokens`` (all tokens, dim); document ``i`` is
``tokens[offsets[i]:offsets[i + 1]]``. The flat array is read in blocks (`latelite.maxsim.blocks`), wherever documents
begin and end, so int8 codes and memory-mapped arrays stay what they are.

A block is multiplied by the query, and the maxima of every eight neighbouring tokens are taken, in one run of ONNX
Runtime (`latelite.maxsim.graphs`), on the calling thread. A document's maximum is that of the eights that lie within it
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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats, Ints
from latelite.errors import InvalidVectorsError
from latelite.maxsim.blocks import Gathered, Joined, plan, ranges
from latelite.maxsim.graphs import GROUP, Kind, parts, session

_DOCUMENTS_AT_ONCE = 1024
"""Documents whose maxima are held at once, a bound on memory."""
_SLICE = 150
"""Tokens that are gathered one by one in the time that a slice of them takes besides its copying."""
_STEPS = 63
"""A 7-bit part of a query component lies between -_STEPS - 1 and _STEPS."""
_HIGH = 128
"""Weight of the high part in 14 bits."""
_LARGEST = 2**31 - 1


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
    dim = tokens.shape[1]
    folded = [_fold(query, dim, quantisation, rough) for query in queries]
    if documents is not None and quantisation is not None and _are_scattered(documents, lengths):
        scores = np.empty((len(queries), len(documents)), np.float32)
        for first in range(0, len(documents), _DOCUMENTS_AT_ONCE):
            part = slice(first, first + _DOCUMENTS_AT_ONCE)
            rows = ranges(offsets[documents[part]], lengths[part])
            scores[:, part] = _gathered(folded, tokens, rows, lengths[part], codes=True)
        return scores
    return _scores(folded, Joined(pieces, dim, codes=quantisation is not None), lengths)


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
    scores: Floats = _gathered([folded], tokens, rows, lengths, codes=quantisation is not None)[0]
    return scores


def rough_error(query: NDArray[Any], quantisation: Floats, longest: float) -> float:
    """What a ``rough`` score may be off by, at most.

    Rounding changes a query token by a vector that is known, and so its product with a token by no more than the
    lengths of the two multiplied (Cauchy and Schwarz). The maximum over a document's tokens is off by no more than the
    products are, and the sum over the query by no more than the sum of that.

    Args:
        query: (query tokens, dim) float32.
        quantisation: as `maxsim`.
        longest: L2 norm of the longest token, in codes.
    """
    scaled, steps = _steps(query.astype(np.float64), quantisation, rough=True)
    lost = scaled - np.rint(scaled / steps[:, None]) * steps[:, None]
    return float(np.sqrt(np.einsum("td,td->t", lost, lost)).sum() * longest * (1 + 1e-5))


def maxsim_documents(query: NDArray[Any], documents: Sequence[NDArray[Any]]) -> Floats:
    """Score a list of documents, each (its tokens, dim), against one query (query tokens, dim).

    For vectors that are in memory anyway, as in reranking.

    Raises:
        InvalidVectorsError: shapes do not fit, a value is not finite, or a document has no tokens.
    """
    dim = np.asarray(query).shape[-1]
    if not np.isfinite(np.asarray(query, np.float32)).all():
        raise InvalidVectorsError("The query holds values that are not finite.")
    documents = [np.asarray(document, np.float32) for document in documents]
    for number, document in enumerate(documents):
        if document.ndim != 2 or document.shape[1] != dim:
            raise InvalidVectorsError(f"Document {number} has shape {document.shape}; expected (tokens, {dim}).")
        if not np.isfinite(document).all():
            raise InvalidVectorsError(f"Document {number} holds values that are not finite.")
    lengths = np.fromiter((len(document) for document in documents), np.int64, len(documents))
    scores: Floats = _scores([_fold(query, dim, None, rough=False)], Joined(documents, dim, codes=False), lengths)[0]
    return scores


def _gathered(queries: Sequence[_Query], tokens: NDArray[Any], rows: Ints, lengths: Ints, *, codes: bool) -> Floats:
    """(queries, documents): score documents by single ``rows`` of a store, as `maxsim_rows`."""
    _check_lengths(lengths)
    # Each document fills whole groups, so none is shared: its last row is repeated.
    wanted = -(-lengths // GROUP) * GROUP
    ends = np.cumsum(lengths)
    filled = np.minimum(ranges(ends - lengths, wanted), np.repeat(ends - 1, wanted))
    return _scores(queries, Gathered(tokens, rows[filled], codes=codes), wanted)


def _are_scattered(documents: Ints, lengths: Ints) -> bool:
    """Whether so few tokens lie together that they are faster gathered one by one than copied as slices."""
    slices = 1 + int(np.count_nonzero(documents[1:] - documents[:-1] != 1))
    return slices * _SLICE > int(lengths.sum())


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
        """The output of `latelite.maxsim.graphs.session`."""
        fed = {**self._fed, **owners, "tokens": rows.reshape(-1, GROUP, rows.shape[1]), "start": start}
        (maxima,) = session(self.kind).run(["maxima"], fed)
        found: NDArray[Any] = maxima
        return found

    def total(self, best: NDArray[Any]) -> NDArray[np.float64]:
        """(documents, query tokens) maxima to (documents,) scores."""
        # Row by row, so that the same maxima give the same bits wherever they stand.
        found = best.astype(np.float64)
        total: NDArray[np.float64] = (found if self.steps is None else found * self.steps).sum(axis=1) + self.constant
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
    # A sum of products of 255 at most with so many steps has to fit an int32: beyond 1,044 dimensions with fewer.
    finest = _STEPS if rough else min(_STEPS * _HIGH, _LARGEST // (255 * max(query.shape[1], 1)) - _HIGH)
    return scaled, np.where(widest > 0, widest, 1) / finest


def _scores(queries: Sequence[_Query], rows: Joined | Gathered, lengths: Ints) -> Floats:
    """(queries, documents): score the documents whose tokens are ``rows``, cut by ``lengths`` (documents,)."""
    _check_lengths(lengths)
    scores = np.zeros((len(queries), len(lengths)), np.float32)
    asking = [number for number, query in enumerate(queries) if query.tokens]
    if not asking:
        return scores
    for first in range(0, len(lengths), _DOCUMENTS_AT_ONCE):
        part = lengths[first : first + _DOCUMENTS_AT_ONCE]
        blocks, cuts = plan(part)
        most = max(block.documents for block in blocks)
        lowest = [queries[number].lowest(most + 1) for number in asking]
        maxima: list[list[NDArray[Any]]] = [[] for _ in asking]
        for block in blocks:
            taken = rows.take(block.tokens)
            for number, start, found in zip(asking, lowest, maxima, strict=True):
                found.append(queries[number].maxima(taken, block.owners, start[: block.documents + 1])[:-1])
        for number, found in zip(asking, maxima, strict=True):
            best = np.maximum.reduceat(np.concatenate(found), cuts, axis=0)
            scores[number, first : first + len(part)] = queries[number].total(best)
    return scores


def _check_lengths(lengths: Ints) -> None:
    if (lengths < 1).any():
        raise InvalidVectorsError(f"Document {int(np.argmin(lengths))} has no tokens; MaxSim is undefined for it.")
