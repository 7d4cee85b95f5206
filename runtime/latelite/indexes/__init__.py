"""Token indexes: `Exact`, `HNSW` and `IVF`, one protocol (`latelite.indexes.index.TokenIndex`), `auto` to choose."""

from latelite.indexes.auto import auto
from latelite.indexes.exact import Exact
from latelite.indexes.hnsw import HNSW
from latelite.indexes.ivf import IVF

__all__ = ["HNSW", "IVF", "Exact", "auto"]
