"""Token indexes: `Exact`, `HNSW` and `IVF`, one protocol (`latelite.indexes.index.TokenIndex`)."""

from latelite.indexes.exact import Exact, ExactKind
from latelite.indexes.hnsw import HNSW, HNSWKind
from latelite.indexes.index import TokenIndex
from latelite.indexes.ivf.ivf import IVF, IVFKind
from latelite.indexes.kind import IndexKind

KINDS: dict[str, type[IndexKind]] = {"Exact": ExactKind, "HNSW": HNSWKind, "IVF": IVFKind}
"""What a collection may be given as ``index``."""

__all__ = ["HNSW", "IVF", "KINDS", "Exact", "TokenIndex"]
