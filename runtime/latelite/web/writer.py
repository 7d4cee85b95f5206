"""Writes a collection as a static site."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latelite import __version__, lexical, terms
from latelite.errors import WebExportError
from latelite.files import atomic_write
from latelite.manifest import Precision
from latelite.storage.postings import open_postings
from latelite.web import site
from latelite.web.arrays import add_graphs, add_part, add_postings
from latelite.web.assets import folder_of_assets
from latelite.web.places import add_places
from latelite.web.stored import Stored
from latelite.web.texts import add_records, add_texts

if TYPE_CHECKING:
    from latelite.collection import Collection
    from latelite.storage.snapshot import Snapshot


@dataclass(frozen=True)
class Report:
    """What was written."""

    folder: Path
    documents: int
    tokens: int
    precision: Precision
    first_visit_bytes: int
    """Transferred until everything is on the device."""


def write_site(
    collection: Collection,
    folder: str | Path,
    *,
    title: str | None = None,
    precision: Precision | None = None,
    assets: str | Path | None = None,
) -> Report:
    """Write a static site that searches ``collection`` in the browser, or bring an earlier one up to date.

    Visitors of an earlier export get the new one with their next visit, and fetch only what changed.

    Args:
        folder: is created; may hold an earlier export.
        title: of the page and the installed app; default: the name of the collection's folder.
        precision: graph that encodes queries in the browser, whatever this machine runs; default: int8 where the
            collection's model has it.
        assets: folder with the JavaScript packages, see `latelite.web.assets.folder_of_assets`.

    Raises:
        WebExportError: the folder holds something else, or the collection is empty or has no texts.
        WebAssetsError, MissingExtraError: the JavaScript packages are not to be had.
        BundleError: the collection's model lacks the precision.
    """
    target = Path(folder).expanduser()
    site.check_target(target)
    precision = precision or ("int8" if "int8" in collection.model.manifest.graphs else collection.model.precision)
    graph = collection.model.bundle.graph_path(precision)
    found = folder_of_assets(None if assets is None else Path(assets).expanduser())
    title = title or collection.folder.resolve().name.removesuffix(".lt")
    target.mkdir(parents=True, exist_ok=True)

    stored = Stored(target)
    stored.add("wasm", site.wasm(found), level=7)
    stored.add("model", graph.read_bytes(), strategy=zlib.Z_FILTERED)
    stored.add("tokenizer", collection.model.bundle.tokenizer_path.read_bytes())
    add_graphs(stored)
    contents = collection._storage.read(lambda view: _add_documents(collection, stored, view))
    index = {
        "format": site.FORMAT,
        "format_version": site.FORMAT_VERSION,
        "latelite": __version__,
        "title": title,
        "model": _model(collection, precision),
        **contents,
        "files": stored.files,
    }
    shell = site.shell(found, title)
    site.write_shell(target, shell)
    site.copy_licenses(target, collection.model.bundle)
    description = json.dumps(index, ensure_ascii=True, separators=(",", ":")).encode()
    # Last: whoever reads the index finds all that it names.
    with atomic_write(target / site.INDEX) as file:
        file.write(description)
    site.remove_leftovers(target, stored.written)
    transferred = stored.stored_bytes + site.visited_bytes(shell) + len(description)
    return Report(target, contents["documents"], contents["tokens"], precision, transferred)


def _model(collection: Collection, precision: Precision) -> dict[str, Any]:
    manifest = collection.model.manifest
    return {
        "name": manifest.checkpoint["id"],
        "fingerprint": manifest.fingerprint,
        "precision": precision,
        "manifest": {
            "dim": manifest.dim,
            "settings": asdict(manifest.settings),
            "token_ids": asdict(manifest.token_ids),
            "inputs": manifest.inputs,
            "output": manifest.output,
        },
    }


def _add_documents(collection: Collection, stored: Stored, view: Snapshot) -> dict[str, Any]:
    """Everything about the documents of one state."""
    if not len(view):
        raise WebExportError(f"{collection.folder} has no documents; add some before it is exported.")
    masks = [np.ones(len(part), np.bool_) if part.live is None else part.live for part in view.parts]
    postings = []
    for part, kept in zip(view.parts, masks, strict=True):
        found = open_postings(part)
        if found is None:
            raise WebExportError(f"{collection.folder} has no texts to search by their words.")
        postings.append((found, kept))
    pairs = [(part, kept) for part, kept in zip(view.parts, masks, strict=True) if kept.any()]
    described = [add_part(stored, number, part, kept) for number, (part, kept) in enumerate(pairs)]
    add_postings(stored, postings)
    rows = collection._storage.rows(view, view.numbers().tolist())
    add_records(stored, rows)
    add_texts(stored, rows)
    lengths = np.concatenate([np.diff(part.offsets)[kept] for part, kept in pairs])
    add_places(stored, collection, rows, lengths.tolist())
    return {
        "documents": len(rows),
        "tokens": sum(part["tokens"] for part in described),
        "parameters": dict(view.settings.parameters) if view.settings else {},
        "lexical": {
            "terms": terms.RULE,
            "k1": lexical.K1,
            "b": lexical.B,
            "weight": collection.model.manifest.lexical_weight,
        },
        "parts": described,
    }
