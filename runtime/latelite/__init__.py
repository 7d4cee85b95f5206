"""Late-interaction (ColBERT) retrieval on small computers, with NumPy, ONNX Runtime and tokenizers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latelite.collection import Collection
    from latelite.explain import Match
    from latelite.results import Document, Hit

__version__ = "0.2.0"
__all__ = ["Collection", "Document", "Hit", "Match", "__version__"]

_MODULES = {"Collection": "collection", "Document": "results", "Hit": "results", "Match": "explain"}


def __getattr__(name: str) -> Any:
    # Lazy: `latelite --help` and `import latelite` load neither NumPy nor ONNX Runtime.
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"latelite.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
