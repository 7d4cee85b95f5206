"""Token indexes: `Exact`, `HNSW` and `IVF`, one protocol (`latelite.indexes.index.TokenIndex`)."""

from latelite.indexes.exact import Exact
from latelite.indexes.hnsw import HNSW

__all__ = ["HNSW", "Exact"]
