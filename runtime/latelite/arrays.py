"""Array type aliases."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.integer[Any])

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Unsigned = NDArray[np.unsignedinteger[Any]]


def distinct(values: NDArray[Number]) -> NDArray[Number]:
    """The distinct values of a (n,) array, ascending.

    `numpy.unique` does the same but imports `numpy.ma` at its first call, which adds 15 ms to a process's first answer.
    """
    ordered = np.sort(values)
    kept = np.ones(len(ordered), np.bool_)
    kept[1:] = ordered[1:] != ordered[:-1]
    return ordered[kept]
