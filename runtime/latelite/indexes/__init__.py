"""Token indexes: `Exact`, `HNSW` and `IVF`, one protocol (`latelite.indexes.index.TokenIndex`), `auto` to choose."""

from latelite.indexes.auto import auto, suited
from latelite.indexes.exact import Exact
from latelite.indexes.hnsw import HNSW
from latelite.indexes.index import TokenIndex
from latelite.indexes.ivf import IVF

KINDS: dict[str, type[TokenIndex]] = {"Exact": Exact, "HNSW": HNSW, "IVF": IVF}
"""The classes by name."""

__all__ = ["HNSW", "IVF", "KINDS", "Exact", "TokenIndex", "auto", "suited"]
