"""What a search reads, as flat little-endian arrays: token vectors, inverted lists, lexical postings.

Documents are numbered anew, in the order of insertion and without removed ones, whose vectors stay behind. The
library's side is ``runtime/web/lib/parts.js``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.lexical import Postings, merge_postings
from latelite.maxsim.blocks import ranges
from latelite.maxsim.graphs import path
from latelite.web.stored import PART_BYTES, Stored

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]

_CODES_LEVEL = 6
"""Of compression: higher levels save 0.1 % of token vectors, and take three times as long."""


def add_graphs(stored: Stored) -> None:
    """The graphs that compute MaxSim."""
    for kind in ("float32", "int7", "int14"):
        stored.add(f"maxsim/{kind}", path(kind).read_bytes())
    stored.add("maxsim/products", path("products").read_bytes())


def add_part(stored: Stored, number: int, part: Any, kept: Mask) -> dict[str, Any]:
    """The vectors of one part of a snapshot, and its inverted lists.

    Args:
        part: `latelite.storage.snapshot.Part`.
        kept: (documents,) the documents to write.

    Returns:
        What the index says about the part.
    """
    name = f"parts/{number}"
    lengths = np.diff(part.offsets)[kept]
    offsets = np.append(0, np.cumsum(lengths))
    stored.add(f"{name}/offsets", _plain(offsets, np.uint32))
    stored.add_blocks(f"{name}/tokens", _blocks(part, kept), level=_CODES_LEVEL)
    if part.quantisation is not None:
        stored.add(f"{name}/quantisation", _plain(part.quantisation, np.float32))
    described: dict[str, Any] = {
        "documents": int(kept.sum()),
        "tokens": int(offsets[-1]),
        "quantised": part.quantisation is not None,
        "longest": _longest(part) if part.quantisation is not None else 0.0,
        "codebook": None,
    }
    # Below the usual number of candidates, all documents are scored whether there are lists or not.
    if part.sidecar is not None:
        described["codebook"] = _add_lists(stored, name, part, kept)
    return described


def add_postings(stored: Stored, parts: Sequence[tuple[Postings, Mask]]) -> None:
    """The lexical postings of all parts as one.

    Terms, and the documents of each term, are written as steps from the one before, and offsets as counts: small
    numbers, which shrink to half.
    """
    postings = merge_postings([(postings, kept) for postings, kept in parts])
    steps = np.diff(postings.documents, prepend=np.int32(0))
    firsts = postings.offsets[:-1]
    steps[firsts] = postings.documents[firsts]
    stored.add("postings/terms", _plain(np.diff(postings.terms, prepend=np.uint32(0)), np.uint32))
    stored.add("postings/counts", _plain(np.diff(postings.offsets), np.uint32))
    stored.add("postings/documents", _plain(steps, np.int32))
    stored.add("postings/frequencies", _plain(postings.frequencies, np.uint8))
    stored.add("postings/lengths", _plain(postings.lengths, np.int32))


def _blocks(part: Any, kept: Mask) -> Iterator[memoryview]:
    """The vectors of the documents that are kept, some megabytes at a time."""
    rows = max(PART_BYTES // (part.tokens.shape[1] * part.tokens.itemsize), 1)
    if kept.all():
        for start in range(0, len(part.tokens), rows):
            yield _plain(part.tokens[start : start + rows], part.tokens.dtype)
        return
    places = ranges(part.offsets[:-1][kept], np.diff(part.offsets)[kept])
    for start in range(0, len(places), rows):
        yield _plain(part.tokens[places[start : start + rows]], part.tokens.dtype)


def _longest(part: Any) -> float:
    """L2 norm of the longest token, in codes: what a rough score may be off by depends on it."""
    most = 0.0
    for start in range(0, len(part.tokens), PART_BYTES // part.tokens.shape[1]):
        codes = part.tokens[start : start + PART_BYTES // part.tokens.shape[1]].astype(np.float32)
        most = max(most, float(np.einsum("td,td->t", codes, codes).max()))
    return float(np.sqrt(most))


def _add_lists(stored: Stored, name: str, part: Any, kept: Mask) -> str:
    """Inverted lists without the documents that are left out; returns the name of the codebook."""
    lists = part.sidecar
    codebook = f"codebooks/{lists.name[:16]}"
    if f"{codebook}/rows" not in stored.files:
        stored.add(f"{codebook}/rows", _plain(lists.codebook.rows, np.uint8), level=_CODES_LEVEL)
        stored.add(f"{codebook}/steps", _plain(lists.codebook.steps, np.float32))
    rows = np.diff(lists.members_offsets)
    row_kept = np.repeat(kept, rows)
    token_kept = np.repeat(kept, np.diff(part.offsets))
    sizes = np.diff(lists.tokens_offsets.astype(np.int64)).reshape(len(row_kept), -1)[row_kept]
    entry_kept = kept[lists.postings]
    centroids = np.repeat(np.arange(len(lists.codebook)), np.diff(lists.postings_offsets))[entry_kept]
    counts = np.bincount(centroids, minlength=len(lists.codebook))
    numbers = np.cumsum(kept) - 1
    arrays: dict[str, tuple[NDArray[Any], Any]] = {
        "members": (lists.members[row_kept], np.uint16),
        "members_offsets": (np.append(0, np.cumsum(rows[kept])), np.uint32),
        "tokens": (lists.tokens[token_kept], np.uint16),
        "tokens_offsets": (np.append(0, np.cumsum(sizes)), np.uint32),
        "postings": (numbers[lists.postings[entry_kept]], np.uint32),
        "postings_offsets": (np.append(0, np.cumsum(counts)), np.uint32),
    }
    for array, (values, dtype) in arrays.items():
        stored.add(f"{name}/lists/{array}", _plain(values, dtype))
    return codebook


def _plain(array: NDArray[Any], dtype: Any) -> memoryview:
    """The bytes of an array: little-endian, row after row."""
    flat = np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<"))
    return flat.reshape(-1).view(np.uint8).data
