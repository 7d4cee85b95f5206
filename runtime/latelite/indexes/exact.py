"""Exact search: MaxSim with every document. The oracle for the other kinds, and the fastest up to some thousands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from latelite.indexes.index import Floats, Ints, StoreType, TokenIndex
from latelite.indexes.snapshot import Mask, Snapshot


class Exact(TokenIndex):
    """Scans all token vectors. With ``store="float32"`` the vectors are kept as they came, at four times the size.

    int8 vectors are scanned with a query of 7 bits first, and what may be among the best with one of 14 bits.
    """

    kind = "exact"

    def __init__(
        self,
        index_folder: str | Path = "latelite-index",
        index_name: str = "index",
        override: bool = False,
        *,
        embedding_size: int | None = None,
        fingerprint: str | None = None,
        store: StoreType = "int8",
    ) -> None:
        """As `TokenIndex`; ``store`` is ``"int8"`` or ``"float32"``."""
        if store not in ("int8", "float32"):
            raise ValueError(f"store must be 'int8' or 'float32', not {store!r}.")
        super().__init__(
            index_folder,
            index_name,
            override,
            embedding_size=embedding_size,
            fingerprint=fingerprint,
            store=store,
        )

    def _candidates(self, view: Snapshot, query: Floats, k: int, allowed: Sequence[Mask | None]) -> list[Ints | None]:
        return [everything_allowed(mask) for mask in allowed]


def everything_allowed(mask: Mask | None) -> Ints | None:
    """The documents to score without an approximation: a list where that is the smaller part, else None for all."""
    if mask is None or 2 * int(mask.sum()) > len(mask):
        return None
    return np.flatnonzero(mask)
