"""MaxSim, the score of late interaction: for each query token the best document token, summed over the query.

    score(Q, D) = sum_i max_j <q_i, d_j>        (Khattab and Zaharia, ColBERT, SIGIR 2020, equation 3)

Documents are ragged and lie one after another in a flat array ``tokens`` (all tokens, dim); document ``i`` is
``tokens[offsets[i]:offsets[i + 1]]``. The flat array is read in blocks of `BLOCK_TOKENS` tokens, so only one block
is ever float32: int8 codes and memory-mapped arrays stay what they are.

Tokens come first in the product, ``block @ query.T``: on AVX-512, OpenBLAS takes 0.6 of the time of ``query @ block.T``
for it (24 query tokens, 128 dimensions), which more than pays for the slower `np.maximum.reduceat` along axis 0.

**Rounding.** BLAS may round a row of a product differently by where it falls in a tile, so two documents with equal
tokens can differ in the last bits of their scores (about 1e-7 per query token). The same call gives the same bits
every time; whoever ranks has to settle near-ties (`latelite.indexes.ranking` scores them one by one).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.errors import InvalidVectorsError

BLOCK_TOKENS = 4096
"""Tokens per product: at 128 dimensions a float32 block is 2 MiB, about a level 2 cache."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def maxsim(
    query: NDArray[Any],
    tokens: NDArray[Any],
    offsets: Ints,
    *,
    documents: Ints | None = None,
    quantisation: Floats | None = None,
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

    Returns:
        (documents,) float32 scores, in the order of ``documents``. A query without tokens scores 0 everywhere.

    Raises:
        InvalidVectorsError: shapes do not fit, or a document has no tokens (its maximum is undefined).
    """
    scores: Floats = maxsim_batch([query], tokens, offsets, documents=documents, quantisation=quantisation)[0]
    return scores


def maxsim_batch(
    queries: Sequence[NDArray[Any]],
    tokens: NDArray[Any],
    offsets: Ints,
    *,
    documents: Ints | None = None,
    quantisation: Floats | None = None,
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
    return _scores(queries, pieces, lengths, dim=tokens.shape[1], quantisation=quantisation)


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
    scores: Floats = _scores([query], documents, lengths, dim=dim, quantisation=None)[0]
    return scores


def _slices(tokens: NDArray[Any], offsets: Ints, documents: Ints) -> Iterator[NDArray[Any]]:
    """Token ranges of ``documents`` in order, ranges of neighbours joined."""
    if not len(documents):
        return
    breaks = np.flatnonzero(np.diff(documents) != 1) + 1
    starts = offsets[documents[np.concatenate(([0], breaks))]]
    stops = offsets[documents[np.concatenate((breaks, [len(documents)])) - 1] + 1]
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        yield tokens[start:stop]


def _blocks(pieces: Iterable[NDArray[Any]], dim: int) -> Iterator[Floats]:
    """Yield the rows of ``pieces`` as float32 blocks of `BLOCK_TOKENS`; each is valid until the next is asked for."""
    buffer: Floats = np.empty((BLOCK_TOKENS, dim), np.float32)
    filled = 0
    for piece in pieces:
        position = 0
        while position < len(piece):
            take = min(BLOCK_TOKENS - filled, len(piece) - position)
            rows = piece[position : position + take]
            position += take
            if take == BLOCK_TOKENS and rows.dtype == np.float32 and rows.flags.c_contiguous:
                yield rows  # a full block of a float32 store needs no copy
                continue
            buffer[filled : filled + take] = rows
            filled += take
            if filled == BLOCK_TOKENS:
                yield buffer
                filled = 0
    if filled:
        yield buffer[:filled]


def _fold(query: NDArray[Any], dim: int, quantisation: Floats | None) -> tuple[Floats, float]:
    """Return the query for codes, and the constant that the offsets add to every score."""
    query = np.asarray(query, np.float32)
    if query.ndim != 2 or query.shape[1] != dim:
        raise InvalidVectorsError(f"The query has shape {query.shape}; expected (query tokens, {dim}).")
    constant = 0.0
    if quantisation is not None:
        offset, scale = quantisation
        constant = float((query.astype(np.float64) @ offset.astype(np.float64)).sum())
        query = query * scale
    return query, constant


def _scores(
    queries: Sequence[NDArray[Any]],
    pieces: Iterable[NDArray[Any]],
    lengths: Ints,
    *,
    dim: int,
    quantisation: Floats | None,
) -> Floats:
    """Score the documents whose tokens are the concatenated ``pieces``, cut by ``lengths`` (documents,)."""
    if (lengths < 1).any():
        raise InvalidVectorsError(f"Document {int(np.argmin(lengths))} has no tokens; MaxSim is undefined for it.")
    folded = [_fold(query, dim, quantisation) for query in queries]
    ends = np.cumsum(lengths)
    starts = ends - lengths
    scores = np.empty((len(queries), len(lengths)), np.float32)
    products = [np.empty((BLOCK_TOKENS, len(query)), np.float32) for query, _ in folded]
    # Per query: the maxima so far (query tokens,) of the document that the previous block ended in.
    carried: list[Floats | None] = [None] * len(queries)
    position = 0
    first = 0  # the document that the block begins in
    for block in _blocks(pieces, dim):
        last = int(np.searchsorted(ends, position + len(block), side="left"))  # ... and the one that it ends in
        cuts = np.maximum(starts[first : last + 1] - position, 0)
        whole = int(ends[last]) == position + len(block)
        complete = last + 1 - first if whole else last - first
        for number, (query, constant) in enumerate(folded):
            product = products[number][: len(block)]
            np.matmul(block, query.T, out=product)
            best = np.maximum.reduceat(product, cuts, axis=0)  # (documents of the block, query tokens)
            begun = carried[number]
            if begun is not None:
                np.maximum(best[0], begun, out=best[0])
            carried[number] = None if whole else best[-1].copy()
            sums = best[:complete].sum(axis=1, dtype=np.float64)
            scores[number, first : first + complete] = sums + constant
        position += len(block)
        first += complete
    return scores
