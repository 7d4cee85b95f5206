"""Documents at the edge of an index: checked once, then trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats, Ints
from latelite.errors import IndexMismatchError, InvalidVectorsError
from latelite.storage.identifiers import DocumentId
from latelite.storage.writing import NewDocuments


class Documents(NewDocuments):
    """The documents of one call: their arrays as the caller holds them, converted to float32 a block at a time."""

    def __init__(self, ids: Sequence[DocumentId], embeddings: Sequence[Any]) -> None:
        """Check number, shapes and dtypes.

        Raises:
            ValueError: not as many embeddings as ids.
            InvalidVectorsError: an array is not (tokens, dim) of numbers, or has no tokens.
        """
        if len(ids) != len(embeddings):
            raise ValueError(f"{len(ids)} ids for {len(embeddings)} documents; each document needs one id.")
        self._ids = ids
        self.arrays = [vectors(array, f"Document {i!r}") for i, array in zip(ids, embeddings, strict=True)]

    @property
    def ids(self) -> Sequence[DocumentId]:
        return self._ids

    @cached_property
    def lengths(self) -> Ints:
        return np.fromiter(map(len, self.arrays), np.int64, len(self.arrays))

    def check_dim(self, dim: int) -> None:
        """Raise IndexMismatchError when a document has another dimension."""
        for i, array in zip(self.ids, self.arrays, strict=True):
            if array.shape[1] != dim:
                raise IndexMismatchError(
                    f"Document {i!r} has vectors of dimension {array.shape[1]}, the index has {dim}."
                )

    def blocks(self, tokens: int) -> Iterator[Floats]:
        """Yield the token vectors of all documents as float32 blocks of about ``tokens`` rows.

        Raises:
            InvalidVectorsError: naming the first document with a value that is not finite.
        """
        start = 0
        while start < len(self.arrays):
            stop, rows = start, 0
            while stop < len(self.arrays) and rows < tokens:
                rows += int(self.lengths[stop])
                stop += 1
            with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite and is refused below
                block = np.concatenate([array.astype(np.float32, copy=False) for array in self.arrays[start:stop]])
            if not np.isfinite(block).all():
                self._refuse(start, stop)
            for position in range(0, rows, tokens):
                yield block[position : position + tokens]
            start = stop

    def check_finite(self, tokens: int) -> None:
        """Raise InvalidVectorsError, naming the first document with a value that is not finite."""
        for _ in self.blocks(tokens):
            pass

    def vectors(self, position: int) -> Floats:
        """(tokens, dim) float32 of one document."""
        found: Floats = self.arrays[position].astype(np.float32, copy=False)
        return found

    def _refuse(self, start: int, stop: int) -> None:
        for number in range(start, stop):
            with np.errstate(over="ignore"):
                finite = np.isfinite(self.arrays[number].astype(np.float32)).all()
            if not finite:
                raise InvalidVectorsError(f"Document {self.ids[number]!r} holds values that are not finite.")


def vectors(array: Any, name: str) -> NDArray[Any]:
    """``array`` as (tokens, dim) of floating point numbers; ``name`` begins the error.

    Raises:
        InvalidVectorsError: wrong shape or dtype, or no tokens.
    """
    try:
        checked = np.asarray(array)
    except ValueError as error:
        raise InvalidVectorsError(f"{name} is ragged; expected one array of shape (tokens, dim).") from error
    if checked.dtype.kind not in "fiu":
        raise InvalidVectorsError(f"{name} has dtype {checked.dtype}; expected floating point numbers.")
    if checked.ndim != 2:
        raise InvalidVectorsError(f"{name} has shape {checked.shape}; expected (tokens, dim).")
    if 0 in checked.shape:
        raise InvalidVectorsError(f"{name} has no token vectors (shape {checked.shape}).")
    return checked
