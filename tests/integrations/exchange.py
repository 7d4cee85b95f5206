"""What PyLate's and Sentence Transformers' tests share: texts in seven languages, and what must hold for vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latelite import Collection
from latelite.models import ColBERT

from .conftest import BUNDLE

CHECKPOINT = BUNDLE.parent / "latelite-colbert-16m"
DOCUMENTS = [
    "Rye bread needs time and a hot oven.",
    "Der Nachtzug nach Norden fährt um sieben.",
    "La declaración de impuestos vence a finales de julio.",
    "Les tomates ont besoin de soleil et d'eau.",
    "La bicicletta è in garage, accanto ai libri vecchi.",
    "De oude boeken staan op zolder.",
    "O barco à vela sai do porto ao amanhecer.",
    "Snow is expected in the north: take the train.",
]
IDS = [f"d{n}" for n in range(len(DOCUMENTS))]
QUERIES = [
    "Brot backen",
    "When does the train leave?",
    "impuestos",
    "tomates",
    "vecchi libri",
    "boeken",
    "barco à vela",
]
TEXTS = [*DOCUMENTS, *QUERIES, "Ein – «Text» mit 🚂, ½ und (Klammern)!", "word " * 400]


def check_same(theirs: Sequence[Any], ours: Sequence[Any], error: float) -> None:
    """Both have the same tokens, and each component differs by ``error`` at most."""
    assert len(theirs) == len(ours)
    for a, b in zip(theirs, ours, strict=True):
        assert np.shape(a) == np.shape(b)
        assert float(np.abs(np.asarray(a, np.float32) - b).max()) <= error


def check_collection(folder: Path, model: ColBERT, vectors: Sequence[Any]) -> None:
    """A collection of vectors that were made elsewhere answers as one that encoded the documents itself."""
    with Collection(folder / "theirs.lt", model) as theirs, Collection(folder / "ours.lt", model) as ours:
        theirs.add_vectors(IDS, DOCUMENTS, vectors)
        ours.add(IDS, DOCUMENTS)
        for query in QUERIES:
            found, wanted = theirs.search(query, 3, explain=True), ours.search(query, 3, explain=True)
            assert [hit.id for hit in found] == [hit.id for hit in wanted]
            assert [hit.score for hit in found] == pytest.approx([hit.score for hit in wanted], abs=2e-3)
            assert [(m.start, m.end) for m in found[0].matches] == [(m.start, m.end) for m in wanted[0].matches]


def order(hits: Sequence[Any]) -> list[str]:
    """Ids of what `rerank` gives."""
    return [hit["id"] for hit in hits]
