"""A cache of retrieval sets' token vectors on disk.

A folder per set and bundle has ``documents.npy`` and ``queries.npy``, concatenated (tokens, dim) float32, and
``documents_lengths.npy`` and ``queries_lengths.npy``, (texts,) int64. Lengths are written last, so that an interrupted
set is encoded again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import beir
import numpy as np

from latelite import models

_AT_ONCE = 256


@dataclass(frozen=True)
class EncodedSet:
    """A retrieval set and its memory-mapped token vectors."""

    data: beir.RetrievalSet
    documents: list[np.ndarray]
    """(tokens, dim) float32 per document, in the order of ``data.documents``."""
    queries: list[np.ndarray]
    """(tokens, dim) float32 per query, in the order of ``data.queries``."""


def encoded(folder: Path, model: models.ColBERT, cache: Path) -> EncodedSet:
    """The set in ``folder``, from ``cache`` or encoded by ``model``."""
    data = beir.load(folder)
    place = cache / f"{data.name}-{model.manifest.fingerprint[:12]}-{model.precision}"
    place.mkdir(parents=True, exist_ok=True)
    return EncodedSet(
        data,
        _texts(place, "documents", list(data.documents.values()), model, is_query=False),
        _texts(place, "queries", list(data.queries.values()), model, is_query=True),
    )


def _texts(place: Path, name: str, texts: list[str], model: models.ColBERT, *, is_query: bool) -> list[np.ndarray]:
    vectors, lengths = place / f"{name}.npy", place / f"{name}_lengths.npy"
    if not lengths.exists():
        counts: list[int] = []
        with vectors.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (0, model.dim)}
            np.lib.format.write_array_header_1_0(file, header)
            space = file.tell()
            for start in range(0, len(texts), _AT_ONCE):
                part = model.encode(texts[start : start + _AT_ONCE], is_query=is_query, show_progress_bar=False)
                counts += map(len, part)
                file.write(np.concatenate(part).astype("<f4", copy=False).tobytes())
                print(f"{place.name}: {start + len(part)} of {len(texts)} {name}", flush=True)
            file.seek(0)  # NumPy leaves room in the header for the length to grow
            np.lib.format.write_array_header_1_0(file, header | {"shape": (sum(counts), model.dim)})
            if file.tell() != space:
                raise RuntimeError(f"{vectors}: the header is too long.")
        np.save(lengths, np.array(counts, np.int64))
    flat = np.load(vectors, mmap_mode="r")
    return [np.asarray(flat[a:b]) for a, b in pairwise(np.cumsum([0, *np.load(lengths)]).tolist())]
