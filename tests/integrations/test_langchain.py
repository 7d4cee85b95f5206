"""LangChain's own suites, and what they do not ask."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("langchain_tests", reason="langchain-tests is not installed: make test-integrations")

from langchain_core.documents import Document
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from latelite import Collection
from latelite.integrations.langchain import LateliteReranker, LateliteRetriever, LateliteVectorStore
from latelite.models import ColBERT

from .examples import run_example, run_line

TEXTS = {
    "train": "The night train to the north leaves at seven.",
    "bread": "Rye bread needs time and a hot oven.",
    "taxes": "The tax return is due at the end of July.",
    "garden": "Tomatoes want sun and little wind.",
}


@pytest.fixture
def filled(collection: Collection) -> Collection:
    collection.add(list(TEXTS), list(TEXTS.values()), [{"length": len(text)} for text in TEXTS.values()])
    return collection


class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, collection: Collection) -> LateliteVectorStore:
        return LateliteVectorStore(collection)


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _fill(self, filled: Collection) -> None:
        self.filled = filled

    @property
    def retriever_constructor(self) -> type[LateliteRetriever]:
        return LateliteRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"collection": self.filled}

    @property
    def retriever_query_example(self) -> str:
        return "Wann fährt der Zug?"


def test_the_retriever_finds_filters_and_follows_its_options(filled: Collection) -> None:
    retriever = LateliteRetriever(collection=filled, k=2)
    found = retriever.invoke("Wann fährt der Nachtzug nach Norden?")
    assert (found[0].id, len(found)) == ("train", 2)
    short = retriever.invoke("Wann fährt der Nachtzug nach Norden?", where={"length": {"$lt": 40}}, mode="semantic")
    assert {document.id for document in short} == {id_ for id_, text in TEXTS.items() if len(text) < 40}
    with pytest.raises(TypeError, match="whre"):
        retriever.invoke("x", whre={})


def test_the_store_as_a_retriever_with_scores_between_0_and_1(filled: Collection) -> None:
    store = LateliteVectorStore(filled)
    assert store.as_retriever(search_kwargs={"k": 1}).invoke("Roggenbrot im Ofen backen")[0].id == "bread"
    scored = store.similarity_search_with_relevance_scores("rye bread", k=4)
    assert scored[0][0].id == "bread"
    assert all(0 <= score <= 1 for _, score in scored)


def test_documents_with_integer_ids_can_be_read_and_deleted(filled: Collection) -> None:
    filled.add([7], ["A document with an integer as its id."])
    store = LateliteVectorStore(filled)
    assert store.get_by_ids(["7"])[0].id == "7"
    assert store.get_by_ids(["07", "--7", "+7", "٧", "7" * 5000]) == []
    store.delete(["7", "nobody", "--7"])
    assert 7 not in filled


@pytest.mark.usefixtures("project")
def test_the_documentations_examples_run() -> None:
    found = run_example("latelite.integrations.langchain")["value"]
    assert "night train" in found[0].page_content
    assert isinstance(run_line("LateliteVectorStore", Collection=Collection), LateliteVectorStore)


def test_from_texts_opens_a_folder(tmp_path: Any, encoder: ColBERT) -> None:
    with pytest.raises(ValueError, match="collection="):
        LateliteVectorStore.from_texts(["x"])
    store = LateliteVectorStore.from_texts(
        ["one", "two"], metadatas=[{"n": 1}, {"n": 2}], collection=str(tmp_path / "new.lt"), model=encoder
    )
    (found,) = store.similarity_search("one", k=5, filter={"n": 1})
    assert (found.page_content, found.metadata) == ("one", {"n": 1})


def test_the_reranker_orders_what_others_found(encoder: ColBERT) -> None:
    documents = [Document(page_content=text, metadata={"id": id_}) for id_, text in TEXTS.items()]
    ranked = LateliteReranker(model=encoder, top_n=2).compress_documents(documents, "Quand les impôts sont-ils dus ?")
    assert ranked[0].metadata["id"] == "taxes"
    assert len(ranked) == 2
    assert ranked[0].metadata["relevance_score"] > ranked[1].metadata["relevance_score"]
    assert "relevance_score" not in documents[2].metadata
