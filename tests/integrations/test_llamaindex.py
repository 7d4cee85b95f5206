"""LlamaIndex: retriever, vector store with its filters, postprocessor."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_index.core", reason="llama-index-core is not installed: make test-integrations")

from llama_index.core import MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from latelite import Collection
from latelite.integrations.llamaindex import LateliteRerank, LateliteRetriever, LateliteVectorStore
from latelite.models import ColBERT

from .examples import run_example, run_line


def node(id: str, text: str, source: str, **metadata: object) -> TextNode:
    related = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=source)}
    return TextNode(id_=id, text=text, metadata=metadata, relationships=related)


NODES = [
    node("train", "The night train to the north leaves at seven.", "a", topic="travel", year=2024, tags=["rail"]),
    node("bread", "Rye bread needs time and a hot oven.", "b", topic="food", year=2020, tags=["oven", "slow"]),
    node("cake", "A cake needs eggs, butter and an oven.", "b", topic="food", year=2023, tags=["oven"]),
    node("taxes", "The tax return is due at the end of July.", "c", topic="money", note=""),
]


@pytest.fixture
def store(collection: Collection) -> LateliteVectorStore:
    built = LateliteVectorStore(collection)
    assert built.add(NODES) == [each.node_id for each in NODES]
    return built


def test_an_index_over_the_store_retrieves_whole_nodes(collection: Collection) -> None:
    store = LateliteVectorStore(collection)
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex(NODES, storage_context=context, embed_model=MockEmbedding(1))
    (found,) = index.as_retriever(similarity_top_k=1).retrieve("Wann fährt der Zug?")
    assert found.node.node_id == "train"
    assert found.node.get_content() == NODES[0].text
    assert found.node.metadata == NODES[0].metadata
    assert found.node.ref_doc_id == "a"


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ([("topic", "==", "food")], {"bread", "cake"}),
        ([("topic", "!=", "food")], {"train", "taxes"}),
        ([("year", ">", 2020)], {"train", "cake"}),
        ([("year", ">=", 2020), ("year", "<", 2024)], {"bread", "cake"}),
        ([("year", "<=", 2020)], {"bread"}),
        ([("topic", "in", ["food", "money"])], {"bread", "cake", "taxes"}),
        ([("topic", "nin", ["food", "money"])], {"train"}),
        ([("tags", "contains", "oven")], {"bread", "cake"}),
        ([("tags", "any", ["slow", "rail"])], {"bread", "train"}),
        ([("tags", "all", ["slow", "oven"])], {"bread"}),
        ([("topic", "text_match", "oo")], {"bread", "cake"}),
        ([("year", "is_empty", None)], {"taxes"}),
    ],
)
def test_filters(store: LateliteVectorStore, filters: list[tuple[str, str, object]], ids: set[str]) -> None:
    made = MetadataFilters(
        filters=[MetadataFilter(key=k, operator=FilterOperator(o), value=v) for k, o, v in filters]  # type: ignore[arg-type]
    )
    result = store.query(VectorStoreQuery(query_str="oven", similarity_top_k=10, filters=made))
    assert set(result.ids or ()) == ids
    assert {each.node_id for each in store.get_nodes(filters=made)} == ids


def test_conditions_nest_and_what_is_unknown_is_refused(store: LateliteVectorStore) -> None:
    food = MetadataFilter(key="topic", value="food")
    late = MetadataFilter(key="year", operator=FilterOperator.GT, value=2022)
    either = MetadataFilters(filters=[food, late], condition=FilterCondition.OR)
    neither = MetadataFilters(filters=[food, late], condition=FilterCondition.NOT)
    both = MetadataFilters(filters=[food, MetadataFilters(filters=[late])])
    assert {n.node_id for n in store.get_nodes(filters=either)} == {"bread", "cake", "train"}
    assert {n.node_id for n in store.get_nodes(filters=neither)} == {"taxes"}
    assert {n.node_id for n in store.get_nodes(filters=both)} == {"cake"}
    odd = MetadataFilter(key="topic", operator=FilterOperator.TEXT_MATCH_INSENSITIVE, value="FOOD")
    with pytest.raises(ValueError, match="text_match_insensitive"):
        store.get_nodes(filters=MetadataFilters(filters=[odd]))


def test_queries_are_restricted_by_node_and_by_document_and_need_text(store: LateliteVectorStore) -> None:
    def ids(**options: object) -> set[str]:
        query = VectorStoreQuery(query_str="an oven", similarity_top_k=10, **options)  # type: ignore[arg-type]
        return set(store.query(query).ids or ())

    assert ids(node_ids=["train", "cake"]) == {"train", "cake"}
    assert ids(doc_ids=["b"]) == {"bread", "cake"}
    assert ids(mode=VectorStoreQueryMode.TEXT_SEARCH) >= {"bread", "cake"}
    with pytest.raises(ValueError, match="query_str"):
        store.query(VectorStoreQuery(query_embedding=[0.1]))
    with pytest.raises(ValueError, match="mmr"):
        store.query(VectorStoreQuery(query_str="x", mode=VectorStoreQueryMode.MMR))


def test_deleting_by_source_by_node_and_everything(store: LateliteVectorStore) -> None:
    store.delete("b")
    assert {n.node_id for n in store.get_nodes()} == {"train", "taxes"}
    store.delete_nodes(["train", "nobody"])
    assert {n.node_id for n in store.get_nodes()} == {"taxes"}
    store.clear()
    assert store.get_nodes() == []
    assert store.query(VectorStoreQuery(query_str="x")).ids == []


def test_the_retriever_reads_a_collection_that_was_filled_without_it(collection: Collection) -> None:
    collection.add([1, "b"], ["Rye bread needs time.", "The train leaves at seven."], [{"n": 1}, {"n": 2}])
    (found,) = LateliteRetriever(collection, similarity_top_k=1).retrieve("pan de centeno")
    assert (found.node.node_id, found.node.get_content(), found.node.metadata) == (
        "1",
        "Rye bread needs time.",
        {"n": 1},
    )


def test_the_postprocessor_orders_what_others_found(encoder: ColBERT) -> None:
    given = [NodeWithScore(node=each, score=0.0) for each in NODES]
    best = LateliteRerank(model=encoder, top_n=1).postprocess_nodes(given, query_str="Quand les impôts sont-ils dus ?")
    assert [each.node.node_id for each in best] == ["taxes"]
    with pytest.raises(ValueError, match="query"):
        LateliteRerank(model=encoder).postprocess_nodes(given)


@pytest.mark.usefixtures("project")
def test_the_documentations_examples_run() -> None:
    found = run_example("latelite.integrations.llamaindex")["value"]
    assert found[0].node.node_id == "train"
    assert isinstance(run_line("LateliteRetriever", Collection=Collection), LateliteRetriever)
