"""Exact search: MaxSim with every document. The oracle for the other kinds, and the fastest up to some thousands."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from latelite.indexes.index import TokenIndex
from latelite.storage.kind import IndexKind

StoreType = Literal["int8", "float32"]


class ExactKind(IndexKind):
    """Scans all token vectors."""

    name = "exact"


class Exact(TokenIndex):
    """Scans all token vectors. With ``store="float32"`` the vectors are kept as they came, at four times the size.

    int8 vectors are scanned with a query of 7 bits first, and what may be among the best with one of 14 bits. One
    object may be used from several threads, as any `TokenIndex`.
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
        store: StoreType | None = None,
        timeout: float = 30.0,
    ) -> None:
        """As `TokenIndex`; ``store`` is ``"int8"`` or ``"float32"``, None what the index has (int8 in a new one)."""
        if store not in ("int8", "float32", None):
            raise ValueError(f"store must be 'int8' or 'float32', not {store!r}.")
        super().__init__(
            ExactKind(store),
            index_folder,
            index_name,
            override,
            embedding_size=embedding_size,
            fingerprint=fingerprint,
            timeout=timeout,
        )
