"""PyLate: its vectors and calls in place of ours, and ours in place of its."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pylate", reason="PyLate is not installed: make test-integrations")

import torch
from pylate import indexes as pylate_indexes
from pylate import models as pylate_models
from pylate import rank as pylate_rank
from pylate import retrieve as pylate_retrieve

from latelite import Collection, indexes, rank, retrieve
from latelite.models import ColBERT

from .conftest import BUNDLE
from .examples import run_line
from .exchange import CHECKPOINT, DOCUMENTS, IDS, QUERIES, TEXTS, check_collection, check_same, order

Vectors = Any


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The default checkpoint in PyLate. It is stored in half precision, which transformers 5 would also compute in."""
    return pylate_models.ColBERT(str(CHECKPOINT), device="cpu", model_kwargs={"dtype": torch.float32})


@pytest.fixture(scope="module")
def ours() -> ColBERT:
    return ColBERT(BUNDLE, precision="fp32", threads=1)


@pytest.mark.parametrize("is_query", [True, False])
def test_the_default_checkpoint_gives_the_runtimes_vectors(theirs: Any, ours: ColBERT, is_query: bool) -> None:
    check_same(theirs.encode(TEXTS, is_query=is_query), ours.encode(TEXTS, is_query=is_query), 1e-4)


def test_as_it_loads_by_default_it_differs_by_half_precision_alone(ours: ColBERT) -> None:
    loaded = pylate_models.ColBERT(str(CHECKPOINT), device="cpu")
    check_same(loaded.encode(TEXTS, is_query=False), ours.encode(TEXTS, is_query=False), 2e-3)


@pytest.mark.parametrize(
    "convert", [{"convert_to_numpy": True}, {"convert_to_numpy": False, "convert_to_tensor": True}]
)
def test_a_collection_takes_pylates_vectors(theirs: Any, ours: ColBERT, tmp_path: Path, convert: Any) -> None:
    check_collection(tmp_path, ours, theirs.encode(DOCUMENTS, is_query=False, **convert))


def test_the_readmes_line_runs(theirs: Any, ours: ColBERT, tmp_path: Path) -> None:
    with Collection(tmp_path / "notes.lt", ours) as notes:
        run_line("pylate_model.encode", notes=notes, ids=IDS, texts=DOCUMENTS, pylate_model=theirs)
        assert notes.search("impuestos", 1)[0].id == "d2"


def pairs(queries: Callable[[list[str]], Vectors], documents: Callable[[list[str]], Vectors]) -> tuple[Any, Any, Any]:
    """What `rerank` takes: every document for every query."""
    return [IDS] * len(QUERIES), queries(QUERIES), [documents(DOCUMENTS)] * len(QUERIES)


def test_either_rerank_takes_either_vectors(theirs: Any, ours: ColBERT) -> None:
    encoders = {
        "theirs": (
            lambda texts: theirs.encode(texts, is_query=True),
            lambda texts: theirs.encode(texts, is_query=False),
        ),
        "ours": (ours.encode_query, ours.encode_document),
    }
    answers = []
    for encode_queries, _ in encoders.values():
        for _, encode_documents in encoders.values():
            ids, queries, documents = pairs(encode_queries, encode_documents)
            by_ours = rank.rerank(ids, queries, documents, pylate_compat=True)
            by_theirs = pylate_rank.rerank(
                documents_ids=ids, queries_embeddings=queries, documents_embeddings=documents
            )
            answers += [by_ours, by_theirs]
    for answer in answers:
        assert [order(hits) for hits in answer] == [order(hits) for hits in answers[0]]
        for found, wanted in zip(answer, answers[0], strict=True):
            assert [hit["score"] for hit in found] == pytest.approx([hit["score"] for hit in wanted], abs=1e-3)


@pytest.mark.parametrize("made_by", ["theirs", "ours"])
def test_either_index_takes_either_vectors(theirs: Any, ours: ColBERT, tmp_path: Path, made_by: str) -> None:
    if made_by == "theirs":
        documents, queries = theirs.encode(DOCUMENTS, is_query=False), theirs.encode(QUERIES, is_query=True)
    else:
        documents, queries = ours.encode(DOCUMENTS, is_query=False), ours.encode(QUERIES, is_query=True)
    their_index = pylate_indexes.Voyager(str(tmp_path / "theirs"), "index", override=True, embedding_size=ours.dim)
    our_index = indexes.PLAID(tmp_path / "ours", "index", override=True)  # PyLate's name for an IVF index
    for index in (their_index, our_index):
        index.add_documents(documents_ids=IDS, documents_embeddings=documents)
    found = retrieve.ColBERT(index=our_index).retrieve(queries_embeddings=queries, k=5)
    wanted = pylate_retrieve.ColBERT(index=their_index).retrieve(queries_embeddings=queries, k=5)
    for hits, expected in zip(found, wanted, strict=True):
        assert hits[0]["id"] == expected[0]["id"]
        scores = {hit["id"]: hit["score"] for hit in expected}
        common = [hit for hit in hits if hit["id"] in scores]
        assert len(common) >= 4  # PyLate's finds candidates approximately
        for hit in common:
            assert hit["score"] == pytest.approx(scores[hit["id"]], abs=0.05)  # ours are rounded to int8


def test_our_stored_vectors_go_into_pylates_index(ours: ColBERT, tmp_path: Path) -> None:
    with Collection(tmp_path / "notes.lt", ours, index="Exact") as collection:
        collection.add(IDS, DOCUMENTS)
        stored = list(collection.token_vectors())
        index = pylate_indexes.Voyager(str(tmp_path / "theirs"), "index", override=True, embedding_size=ours.dim)
        index.add_documents([document.id for document, _ in stored], [vectors for _, vectors in stored])
        retriever = pylate_retrieve.ColBERT(index=index)
        for query in QUERIES:
            vectors = ours.encode_query(query)
            (found,) = retriever.retrieve(queries_embeddings=vectors, k=1)
            (wanted,) = collection.search(query, 1, mode="semantic")
            assert found[0]["id"] == wanted.id
            assert found[0]["score"] / len(vectors) == pytest.approx(np.float64(wanted.score), abs=2e-3)
