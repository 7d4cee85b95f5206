"""The code of a PyLate model card runs with only its import lines changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def name(bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.chdir(tmp_path)
    return str(bundle("bert-expansion"))


@pytest.mark.parametrize("kind", ["PLAID", "Voyager", "HNSW", "Exact"])
def test_index_and_retrieve(name: str, kind: str) -> None:
    from latelite import indexes, models, retrieve

    # Step 1: load the model
    model = models.ColBERT(
        model_name_or_path=name,
    )

    # Step 2: initialise the index
    index = getattr(indexes, kind)(
        index_folder="pylate-index",
        index_name="index",
        override=True,  # replaces an existing index
    )

    # Step 3: encode the documents
    documents_ids = ["1", "2", "3"]
    documents = ["document 1 text", "document 2 text", "document 3 text"]
    documents_embeddings = model.encode(
        documents,
        batch_size=32,
        is_query=False,  # these are documents
        show_progress_bar=True,
    )

    # Step 4: add document embeddings to the index with the corresponding ids
    index.add_documents(
        documents_ids=documents_ids,
        documents_embeddings=documents_embeddings,
    )

    # Later: load the index from its folder
    index = getattr(indexes, kind)(
        index_folder="pylate-index",
        index_name="index",
    )

    retriever = retrieve.ColBERT(index=index)
    queries_embeddings = model.encode(
        ["query for document 3", "query for document 1"],
        batch_size=32,
        is_query=True,  # these are queries
        show_progress_bar=True,
    )
    scores = retriever.retrieve(
        queries_embeddings=queries_embeddings,
        k=10,
    )
    assert len(scores) == 2
    for result in scores:
        assert sorted(hit["id"] for hit in result) == documents_ids
        assert [hit["score"] for hit in result] == sorted((hit["score"] for hit in result), reverse=True)


def test_rerank(name: str) -> None:
    from latelite import models, rank

    queries = [
        "query A",
        "query B",
    ]
    documents = [
        ["document A", "document B"],
        ["document 1", "document C", "document B"],
    ]
    documents_ids = [
        [1, 2],
        [1, 3, 2],
    ]
    model = models.ColBERT(
        model_name_or_path=name,
    )
    queries_embeddings = model.encode(
        queries,
        is_query=True,
    )
    documents_embeddings = model.encode(
        documents,
        is_query=False,
    )
    reranked_documents = rank.rerank(
        documents_ids=documents_ids,
        queries_embeddings=queries_embeddings,
        documents_embeddings=documents_embeddings,
    )
    assert [sorted(r["id"] for r in ranked) for ranked in reranked_documents] == [[1, 2], [1, 2, 3]]


def test_parameters_of_pylates_indexes(tmp_path: Path) -> None:
    from latelite import indexes

    with indexes.PLAID(tmp_path, "plaid", True, 128, nbits=4, n_ivf_probe=12, use_fast=True, device="cpu") as index:
        assert isinstance(index, indexes.IVF)
        assert index._kind.settings["n_probe"] == 12
    with pytest.raises(TypeError, match="unheard_of"):
        indexes.PLAID(tmp_path, "other", unheard_of=1)


def test_parameters_of_pylates_voyager(tmp_path: Path) -> None:
    pytest.importorskip("hnswlib")
    from latelite import indexes

    with indexes.Voyager(tmp_path, "voyager", True, 128, M=32, ef_construction=100, ef_search=50) as index:
        assert isinstance(index, indexes.HNSW)
        assert (index._kind.settings["M"], index._kind.settings["ef_search"]) == (32, 50)
    with pytest.raises(TypeError, match="unheard_of"):
        indexes.Voyager(tmp_path, "other", unheard_of=1)


@pytest.mark.parametrize("kind", ["PLAID", "Voyager", "Exact"])
def test_the_example_of_pylates_retriever(name: str, kind: str) -> None:
    if kind == "Voyager":
        pytest.importorskip("hnswlib")
    from latelite import indexes, models, retrieve

    model = models.ColBERT(model_name_or_path=name, device="cpu")
    index = getattr(indexes, kind)(index_folder="test_index", index_name="colbert", override=True)
    documents_embeddings = model.encode(sentences=["fruits are healthy.", "fruits are good.", "fruits are bad."])
    index = index.add_documents(documents_ids=["1", "2", "3"], documents_embeddings=documents_embeddings)
    queries_embeddings = model.encode(sentences=["fruits are healthy.", "fruits are bad."])
    retriever = retrieve.ColBERT(index=index)
    results = retriever.retrieve(
        queries_embeddings=queries_embeddings, k=2, k_token=10, device="cpu", batch_size=1, subset=["1", "3"]
    )
    assert [{hit["id"] for hit in hits} for hits in results] == [{"1", "3"}] * 2
    with pytest.raises(ValueError, match="k_token"):
        retriever.retrieve(queries_embeddings, 2, 0)


def test_k_token_reaches_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hnswlib")
    import numpy as np

    from latelite import indexes, retrieve
    from latelite.indexes.hnsw import HNSWKind

    asked = []
    near = HNSWKind._near

    def noted(kind: HNSWKind, *arguments: object) -> object:
        asked.append(kind.settings["k_token"])
        return near(kind, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(HNSWKind, "_near", noted)
    vectors = np.random.default_rng(1).standard_normal((60, 8, 16)).astype(np.float32)
    with indexes.HNSW(tmp_path, "graph", graph_threshold=1) as index:
        index.add_documents(range(60), list(vectors))
        index.compact()
        retriever = retrieve.ColBERT(index)
        retriever.retrieve([vectors[0]], 3, k_token=7)
        retriever.retrieve([vectors[0]], 3)
    assert asked == [7, 96]
