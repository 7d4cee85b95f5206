"""What a folder of latelite holds, as plain data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from latelite.errors import StoreError
from latelite.manifest import MANIFEST_NAME, Manifest


def describe(folder: Path) -> dict[str, Any]:
    """Describe a bundle or a collection.

    Raises:
        BundleError, StoreError: the folder is neither, or is damaged.
    """
    from latelite.collection import HEADER_NAME

    if (folder / MANIFEST_NAME).exists():
        return bundle(Manifest.read(folder))
    if (folder / HEADER_NAME).exists():
        return collection(folder)
    raise StoreError(f"{folder} is neither a bundle (no {MANIFEST_NAME}) nor a collection (no {HEADER_NAME}).")


def bundle(manifest: Manifest) -> dict[str, Any]:
    """Everything that the export resolved, each setting with the place that it came from."""
    values = asdict(manifest.settings)
    return {
        "kind": "bundle",
        "fingerprint": manifest.fingerprint,
        "checkpoint": dict(manifest.checkpoint),
        "dim": manifest.dim,
        "max_positions": manifest.max_positions,
        "settings": {name: {"value": values[name], "source": manifest.sources.get(name)} for name in values},
        "token_ids": asdict(manifest.token_ids),
        "graphs": {precision: asdict(graph) for precision, graph in manifest.graphs.items()},
        "opset": manifest.opset,
        "minimum_onnxruntime": manifest.minimum_onnxruntime,
        "bytes": {name: entry.bytes for name, entry in manifest.files.items()},
        "toolchain": dict(manifest.toolchain),
        "verification": dict(manifest.verification),
    }


def collection(folder: Path) -> dict[str, Any]:
    """Size and model of a collection."""
    from latelite.collection import Collection

    with Collection(folder) as opened:
        files = [path for path in (folder / "index").rglob("*") if path.is_file()]
        return {
            "kind": "collection",
            "model": opened.model.manifest.checkpoint["id"],
            "fingerprint": opened.model.manifest.fingerprint,
            "index": type(opened.index).__name__,
            "pool_factor": opened.pool_factor,
            "documents": len(opened),
            "tokens": opened.index.tokens,
            "index_bytes": sum(path.stat().st_size for path in files),
        }
