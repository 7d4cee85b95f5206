"""Sentence Transformers 6: the vectors of its MultiVectorEncoder in place of ours, and ours in place of its."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip(
    "sentence_transformers.multi_vector_encoder", reason="needs Sentence Transformers 6: make test-integrations"
)

import torch
from sentence_transformers import MultiVectorEncoder

from latelite import rank
from latelite.models import ColBERT

from .conftest import BUNDLE
from .exchange import CHECKPOINT, DOCUMENTS, IDS, QUERIES, TEXTS, check_collection, check_same, order


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The default checkpoint, which is stored in half precision: transformers 5 would also compute in it."""
    return MultiVectorEncoder(str(CHECKPOINT), device="cpu", model_kwargs={"dtype": torch.float32})


@pytest.fixture(scope="module")
def ours() -> ColBERT:
    return ColBERT(BUNDLE, precision="fp32", threads=1)


def test_the_default_checkpoint_gives_the_runtimes_vectors(theirs: Any, ours: ColBERT) -> None:
    check_same(theirs.encode_document(TEXTS), ours.encode_document([text.strip() for text in TEXTS]), 1e-4)
    check_same(theirs.encode_query(TEXTS), ours.encode_query([text.strip() for text in TEXTS]), 1e-4)


def test_as_it_loads_by_default_it_differs_by_half_precision_alone(ours: ColBERT) -> None:
    loaded = MultiVectorEncoder(str(CHECKPOINT), device="cpu")
    check_same(loaded.encode_document(TEXTS), ours.encode_document(TEXTS), 2e-3)


def test_a_collection_takes_their_vectors(theirs: Any, ours: ColBERT, tmp_path: Path) -> None:
    check_collection(tmp_path, ours, theirs.encode_document(DOCUMENTS))  # tensors


def test_either_similarity_takes_either_vectors(theirs: Any, ours: ColBERT) -> None:
    queries = theirs.encode_query(QUERIES), ours.encode_query(QUERIES)
    documents = theirs.encode_document(DOCUMENTS), ours.encode_document(DOCUMENTS)
    wanted = np.asarray(theirs.similarity(queries[0], documents[0]))
    assert wanted.shape == (len(QUERIES), len(DOCUMENTS))
    for asked in queries:
        for answered in documents:
            np.testing.assert_allclose(ours.similarity(asked, answered), wanted, atol=1e-3)
    tensors = [[torch.from_numpy(each) for each in vectors] for vectors in (queries[1], documents[1])]
    np.testing.assert_allclose(np.asarray(theirs.similarity(*tensors)), wanted, atol=1e-3)


def test_reranking_takes_their_vectors(theirs: Any, ours: ColBERT) -> None:
    scores = np.asarray(theirs.similarity(theirs.encode_query(QUERIES), theirs.encode_document(DOCUMENTS)))
    found = rank.rerank(
        [IDS] * len(QUERIES), theirs.encode_query(QUERIES), [theirs.encode_document(DOCUMENTS)] * len(QUERIES)
    )
    for hits, row in zip(found, scores, strict=True):
        assert order(hits) == [IDS[n] for n in np.argsort(-row, kind="stable")]
        assert [hit["score"] for hit in hits] == pytest.approx(sorted(row.tolist(), reverse=True), abs=1e-4)
