"""Haystack's own suites, sync and async, and a pipeline."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
pytest.importorskip("haystack", reason="haystack-ai is not installed: make test-integrations")

from haystack import Document, Pipeline
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.testing.document_store import CountDocumentsByFilterTest, DocumentStoreBaseExtendedTests
from haystack.testing.document_store_async import (
    CountDocumentsAsyncTest,
    CountDocumentsByFilterAsyncTest,
    DeleteAllAsyncTest,
    DeleteByFilterAsyncTest,
    DeleteDocumentsAsyncTest,
    FilterDocumentsAsyncTest,
    UpdateByFilterAsyncTest,
    WriteDocumentsAsyncTest,
)

from latelite.integrations.haystack import LateliteDocumentStore, LateliteRanker, LateliteRetriever

from .conftest import BUNDLE
from .examples import run_example, run_line


@pytest.fixture
def document_store(tmp_path: Path) -> LateliteDocumentStore:
    return LateliteDocumentStore(str(tmp_path / "haystack.lt"), str(BUNDLE))


class _Store:
    @pytest.fixture
    def document_store(self, tmp_path: Path) -> LateliteDocumentStore:
        return LateliteDocumentStore(str(tmp_path / "haystack.lt"), str(BUNDLE))


class TestStore(_Store, DocumentStoreBaseExtendedTests, CountDocumentsByFilterTest):
    def test_write_documents(self, document_store: LateliteDocumentStore) -> None:
        """Without a policy an id that is there fails, as in Haystack's own store."""
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document])


class TestStoreAsync(
    _Store,
    CountDocumentsAsyncTest,
    CountDocumentsByFilterAsyncTest,
    DeleteAllAsyncTest,
    DeleteByFilterAsyncTest,
    DeleteDocumentsAsyncTest,
    FilterDocumentsAsyncTest,
    UpdateByFilterAsyncTest,
    WriteDocumentsAsyncTest,
):
    async def test_write_documents_async(self, document_store: LateliteDocumentStore) -> None:
        """As above."""
        document = Document(content="test doc")
        assert await document_store.write_documents_async([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            await document_store.write_documents_async([document])


DOCUMENTS = [
    Document(id="train", content="The night train to the north leaves at seven.", meta={"topic": "travel"}),
    Document(id="bread", content="Rye bread needs time and a hot oven.", meta={"topic": "food"}),
    Document(id="cake", content="A cake needs eggs, butter and an oven.", meta={"topic": "food"}),
]


def test_a_pipeline_searches_filters_reranks_and_survives_being_written_down(
    document_store: LateliteDocumentStore,
) -> None:
    document_store.write_documents(DOCUMENTS)
    pipeline = Pipeline()
    pipeline.add_component("retriever", LateliteRetriever(document_store, top_k=3))
    pipeline.add_component("ranker", LateliteRanker(str(BUNDLE), top_k=1))
    pipeline.connect("retriever.documents", "ranker.documents")
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["latelite.integrations.haystack"])
    for each in (pipeline, again):
        question = "Wie backt man Roggenbrot?"
        result = each.run(
            {
                "retriever": {
                    "query": question,
                    "filters": {"field": "meta.topic", "operator": "==", "value": "food"},
                },
                "ranker": {"query": question},
            }
        )
        (document,) = result["ranker"]["documents"]
        assert document.id == "bread"
        assert 0 < document.score <= 1


def test_a_document_comes_back_as_it_was_written(document_store: LateliteDocumentStore) -> None:
    document = Document(id="x", content=None, meta={"a": [1, {"b": None}]}, embedding=[0.5, 1.0])
    document_store.write_documents([document])
    document_store.write_documents([document], DuplicatePolicy.OVERWRITE)
    assert document_store.filter_documents() == [document]


@pytest.mark.usefixtures("project")
def test_the_documentations_examples_run() -> None:
    found = run_example("latelite.integrations.haystack")["value"]["retriever"]["documents"]
    assert "night train" in found[0].content
    assert run_line("LateliteDocumentStore").count_documents() == 3


def test_no_hits_at_all_cannot_be_asked_for(document_store: LateliteDocumentStore) -> None:
    document_store.write_documents(DOCUMENTS)
    with pytest.raises(ValueError, match="k must be"):
        LateliteRetriever(document_store).run("Brot", top_k=0)
    assert LateliteRanker(str(BUNDLE)).run("Brot", DOCUMENTS, top_k=0)["documents"] == []
