"""Queries: checked at the edge, and in the leaner form that candidates are looked for with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats, distinct
from latelite.errors import IndexMismatchError, InvalidVectorsError
from latelite.indexes.documents import vectors

_SAME = 0.9
"""Cosine (of tokens of equal norms) above which two query tokens become one. On SciFact's questions that saves 6 of 29
tokens and loses less than .001 of the ten best; 0.85 saves 9 and loses .002 of them."""


def checked_queries(queries: Any, dim: int | None) -> list[Floats]:
    """Queries as a list of (query tokens, dim) float32; one 2-D array is one query.

    Raises:
        InvalidVectorsError: wrong shape or dtype, or values that are not finite.
        IndexMismatchError: another dimension than the index (``dim``; None while that is unknown).
    """
    if isinstance(queries, np.ndarray) and queries.ndim == 2:
        queries = [queries]
    checked = []
    for number, query in enumerate(queries):
        with np.errstate(over="ignore"):
            array = vectors(query, f"Query {number}").astype(np.float32, copy=False)
        if dim is not None and array.shape[1] != dim:
            raise IndexMismatchError(f"Query {number} has dimension {array.shape[1]}, the index has {dim}.")
        if not np.isfinite(array).all():
            raise InvalidVectorsError(f"Query {number} holds values that are not finite.")
        checked.append(array)
    return checked


def merge_tokens(query: NDArray[np.float32]) -> NDArray[np.float32]:
    """``query`` (tokens, dim) with nearly equal tokens added up, which the best document token fits alike.

    The MaxSim of the sum is at most the sum of theirs, and as much where they have the same best token.
    """
    if len(query) < 2:
        return query
    products = np.einsum("id,jd->ij", query, query)  # a BLAS product's threads would wake up
    squares = products.diagonal()
    same = products >= _SAME * np.maximum(squares, squares[:, None])
    first = same.argmax(axis=0)
    while not np.array_equal(first, first[first]):  # what a token is like may be like one before it
        first = first[first]
    kept = distinct(first)
    if len(kept) == len(query):
        return query
    sums = np.zeros_like(query)
    np.add.at(sums, first, query)
    fewer: NDArray[np.float32] = sums[kept]
    return fewer
