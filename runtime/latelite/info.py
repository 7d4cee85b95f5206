"""Description of a bundle, collection or index as plain data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from latelite.errors import StoreError
from latelite.manifest import MANIFEST_NAME, Manifest


def describe(folder: Path) -> dict[str, Any]:
    """Describe a bundle, a collection or an index.

    Raises:
        BundleError, StoreError: the folder is neither, or is damaged.
    """
    from latelite.collection_folder import HEADER_NAME
    from latelite.storage.catalogue import CATALOGUE

    if (folder / MANIFEST_NAME).exists():
        return bundle(Manifest.read(folder))
    if (folder / HEADER_NAME).exists():
        return collection(folder)
    if (folder / CATALOGUE).exists():
        return {"kind": "index", **index(folder)}
    raise StoreError(
        f"{folder} is neither a bundle (no {MANIFEST_NAME}) nor a collection (no {HEADER_NAME}) nor an index (no "
        f"{CATALOGUE})."
    )


def bundle(manifest: Manifest) -> dict[str, Any]:
    """Everything that the export resolved, each setting with its source."""
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
    """Size and model of a collection, without loading the model."""
    from latelite.collection_folder import MODEL, Header

    header = Header.read(folder)
    manifest = Manifest.read(folder / MODEL)
    return {
        "kind": "collection",
        "model": header.model,
        "fingerprint": header.fingerprint,
        "index": header.index,
        "pool_factor": header.pool_factor,
        "graphs": sorted(manifest.graphs),
        **index(folder),
    }


def index(folder: Path) -> dict[str, Any]:
    """Size of an index, standalone or in a collection."""
    from latelite.storage.catalogue import CATALOGUE, Catalogue
    from latelite.storage.segments import SEGMENTS

    catalogue = Catalogue(folder, timeout=5.0, read_only=True)
    documents = tokens = 0
    try:
        with catalogue.reading() as connection:
            if connection is not None and connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
                (documents,) = connection.execute("SELECT count(*) FROM documents").fetchone()
                (tokens,) = connection.execute("SELECT coalesce(sum(tokens), 0) FROM documents").fetchone()
    finally:
        catalogue.close()
    files = [folder / CATALOGUE, *(folder / SEGMENTS).rglob("*")]
    size = sum(path.stat().st_size for path in files if path.is_file())
    return {"documents": documents, "tokens": tokens, "index_bytes": size}
