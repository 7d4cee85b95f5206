"""Where the tokens and terms of the documents stand in their texts: what an explanation of a hit points at.

It is worked out here, where the tokenizer tells; the library only has to read it. The browser counts UTF-16 units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latelite.storage.pooling import clusters_of
from latelite.terms import FIRST_LETTERS
from latelite.web.stored import Stored

if TYPE_CHECKING:
    from latelite.collection import Collection

_PART_BYTES = 1 << 20
"""Before compression, which leaves a fifth."""

Ints = NDArray[np.int64]


def add_places(stored: Stored, collection: Collection, rows: Sequence[Any], lengths: Sequence[int]) -> None:
    """Spans of the tokens and subwords of every document, in parts that are fetched when one of them is shown.

    Args:
        rows: with ``number`` and ``text``, in the order of the documents.
        lengths: stored vectors of each document.
    """

    def parts() -> Iterator[tuple[bytes, dict[str, Any]]]:
        chunk: list[NDArray[np.int32]] = []
        for row, length in zip(rows, lengths, strict=True):
            chunk.append(_places(collection, row.text, length, clusters_of(collection._storage, row.number)))
            if 4 * sum(map(len, chunk)) >= _PART_BYTES:
                yield _joined(chunk)
                chunk = []
        if chunk:
            yield _joined(chunk)

    stored.add_parts("places", parts())


def _joined(chunk: Sequence[NDArray[np.int32]]) -> tuple[bytes, dict[str, Any]]:
    return np.concatenate(chunk).astype("<i4").tobytes(), {"documents": len(chunk)}


def _places(collection: Collection, text: str, vectors: int, clusters: Ints | None) -> NDArray[np.int32]:
    """How many tokens and subwords, spans and clusters of the tokens, ids and spans of the subwords: (numbers,).

    Spans and clusters are written as steps from the one before: those are small and alike, and shrink to a third.
    """
    spans = collection.model.document_spans(text)
    if clusters is None:
        clusters = np.arange(vectors)
    if len(clusters) != len(spans):  # another tokenizer's, or nothing of the text was kept
        spans = np.full((len(clusters), 2), -1)
    terms = collection.model.analyzer.terms(text)
    subwords = terms.ids < FIRST_LETTERS  # the library finds the words itself
    units = _units(text)
    flat = [
        np.array([len(spans), int(subwords.sum())]),
        _steps(_counted(spans, units)).ravel(),
        np.diff(clusters, prepend=0),
        terms.ids[subwords],
        _steps(_counted(terms.spans[subwords], units)).ravel(),
    ]
    return np.concatenate(flat).astype(np.int32)


def _units(text: str) -> Ints | None:
    """Of each code point the UTF-16 units before it, (code points + 1,); None where they are as many."""
    if text.isascii() or max(text) <= "\uffff":
        return None
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return np.append(0, np.cumsum(1 + (points > 0xFFFF))).astype(np.int64)


def _counted(spans: Ints, units: Ints | None) -> Ints:
    """Spans in code points as spans in UTF-16 units; -1 stays."""
    return spans if units is None else np.where(spans < 0, spans, units[np.maximum(spans, 0)])


def _steps(spans: Ints) -> Ints:
    """(n, 2) from the start before to the start, and the length."""
    return np.stack([np.diff(spans[:, 0], prepend=0), spans[:, 1] - spans[:, 0]], axis=1)
