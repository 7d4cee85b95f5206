"""Token indexes: `Exact`, `HNSW` and `IVF`, one protocol (`latelite.indexes.index.TokenIndex`).

`Voyager` and `PLAID` are `HNSW` and `IVF` with the parameters of PyLate's indexes of these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latelite.indexes.exact import Exact, ExactKind
from latelite.indexes.hnsw import HNSW, HNSWKind
from latelite.indexes.index import TokenIndex
from latelite.indexes.ivf.ivf import IVF, IVFKind
from latelite.indexes.pylate import PLAID, Voyager
from latelite.storage.kind import IndexKind

KINDS: dict[str, type[IndexKind]] = {"Exact": ExactKind, "HNSW": HNSWKind, "IVF": IVFKind}
"""What a collection may be given as ``index``."""


def make_kind(name: str, settings: Mapping[str, Any]) -> IndexKind:
    """A kind of index by its name, with settings by the names that its class has in `latelite.indexes`.

    Raises:
        ValueError: there is no such kind, it has no such setting, or no such value.
        MissingExtraError: the kind needs a library that is not installed.
    """
    if name not in KINDS:
        raise ValueError(f"index must be one of {', '.join(KINDS)}, not {name!r}.")
    kind = KINDS[name]
    for setting in settings:
        if setting not in kind.defaults:
            known = ", ".join(kind.defaults) or "none"
            raise ValueError(f"{name} has no setting {setting!r}; it has: {known}.")
    return kind(**settings)


__all__ = ["HNSW", "IVF", "KINDS", "PLAID", "Exact", "IndexKind", "TokenIndex", "Voyager", "make_kind"]
