"""Checkpoint -> graph -> int8 -> verified bundle. Runs on a workstation; the device only reads what it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latelite_export.pipeline import export

__all__ = ["export"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `latelite-export --help` does not wait for PyTorch.
    if name == "export":
        from latelite_export import pipeline

        return pipeline.export
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
