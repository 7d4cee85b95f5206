"""MaxSim as its definition reads, in plain NumPy: the oracle that the fast one is tested against.

`latelite.maxsim` reads documents in blocks, as codes, and through ONNX Runtime. Nothing of that is here, so whoever
doubts a score, of the library or of an index of their own, can compute it anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def plain_maxsim(query: NDArray[Any], document: NDArray[Any]) -> float:
    """For each query token the largest product with a document token, added up, in float64.

    Args:
        query: (query tokens, dim)
        document: (document tokens, dim), at least one token.

    Raises:
        ValueError: the shapes do not fit, or the document has no tokens.
    """
    products = np.asarray(query, np.float64) @ np.asarray(document, np.float64).T
    return float(products.max(axis=1).sum())
