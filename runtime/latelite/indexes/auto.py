"""Choosing a kind of index by the size of the collection."""

from __future__ import annotations

import logging
from pathlib import Path

from latelite.indexes.exact import Exact
from latelite.indexes.generation import Generation
from latelite.indexes.hnsw import HNSW
from latelite.indexes.index import StoreType, TokenIndex
from latelite.indexes.ivf import IVF, SCANNED
from latelite.indexes.store import Store

logger = logging.getLogger(__name__)


def suited(expected_tokens: int | None) -> type[Exact] | type[IVF]:
    """The kind for an index of that many tokens; None when their number is not known.

    `IVF` scans what is smaller than `SCANNED`, as `Exact` does, and so grows out of a scan without being built anew. It
    is right whenever the size is open; `Exact` is for what is known to stay small. `HNSW`, which holds some 660 bytes a
    token in memory, is never chosen, only opened.
    """
    return Exact if expected_tokens is not None and expected_tokens < SCANNED else IVF


def auto(
    index_folder: str | Path = "latelite-index",
    index_name: str = "index",
    override: bool = False,
    *,
    expected_tokens: int | None = None,
    embedding_size: int | None = None,
    fingerprint: str | None = None,
) -> TokenIndex:
    """Open an index as whatever kind it is, or begin a new one of the kind that suits its size.

    A new index is of the kind that is `suited` to ``expected_tokens``. The choice is logged and is the class of the
    result.

    Raises as `TokenIndex`.
    """
    generation = None if override else Store(Path(index_folder) / index_name).current()
    if generation is not None:
        return _opened(generation, index_folder, index_name, embedding_size, fingerprint)
    kind = suited(expected_tokens)
    logger.info(
        "%s for %s: %s tokens expected, a scan is no slower below %d",
        kind.__name__,
        Path(index_folder) / index_name,
        "unknown number of" if expected_tokens is None else expected_tokens,
        SCANNED,
    )
    return kind(index_folder, index_name, override, embedding_size=embedding_size, fingerprint=fingerprint)


def _opened(
    generation: Generation, folder: str | Path, name: str, embedding_size: int | None, fingerprint: str | None
) -> TokenIndex:
    """Open a published index with the settings that it was written with where they matter for reading."""
    if generation.kind == Exact.kind:
        store: StoreType = "float32" if generation.store == "float32" else "int8"
        return Exact(folder, name, embedding_size=embedding_size, fingerprint=fingerprint, store=store)
    kind = HNSW if generation.kind == HNSW.kind else IVF
    return kind(folder, name, embedding_size=embedding_size, fingerprint=fingerprint, **generation.parameters)
