"""Late-interaction (ColBERT) retrieval on small computers: NumPy, ONNX Runtime and tokenizers, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latelite.collection import Collection, Hit

__version__ = "0.1.0"
__all__ = ["Collection", "Hit", "__version__"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `latelite --help` and `import latelite` load neither NumPy nor ONNX Runtime.
    if name in ("Collection", "Hit"):
        from latelite import collection

        return getattr(collection, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
